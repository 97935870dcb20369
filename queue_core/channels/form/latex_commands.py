"""LaTeX commands that occur in formulas, and the characters that replace them."""

from __future__ import annotations

import unicodedata


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(text: str) -> dict[str, str]:
    """Read names and characters, which alternate."""
    words = text.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def _greek() -> dict[str, str]:
    names = (
        "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigma tau upsilon "
        "phi chi psi omega"
    )
    letters = {}
    for name in names.split():
        in_unicode = name.replace("lambda", "lamda").upper()
        letters[name] = unicodedata.lookup(f"GREEK SMALL LETTER {in_unicode}")
        letters[name.title()] = unicodedata.lookup(f"GREEK CAPITAL LETTER {in_unicode}")
    return letters


SYMBOLS = _greek() | _pairs(
    "varepsilon ε vartheta ϑ varphi φ varsigma ς varrho ϱ ell ℓ hbar ħ infty ∞ partial ∂ nabla ∇ emptyset ∅ "
    "varnothing ∅ degree ° angle ∠ forall ∀ exists ∃ neg ¬ lnot ¬ prime ′ sum ∑ prod ∏ int ∫ oint ∮ iint ∬ "
    "triangle △ Re ℜ Im ℑ aleph ℵ circ ∘ surd √"
)
"""Symbols that are written without a space after them."""

OPERATORS = _pairs(
    "times × cdot · div ÷ pm ± mp ∓ ast ∗ star ⋆ bullet • leq ≤ le ≤ leqslant ≤ geq ≥ ge ≥ geqslant ≥ neq ≠ ne ≠ lt < "
    "gt > ll ≪ gg ≫ approx ≈ equiv ≡ sim ∼ simeq ≃ cong ≅ propto ∝ in ∈ notin ∉ ni ∋ subset ⊂ subseteq ⊆ supset ⊃ "
    "supseteq ⊇ cup ∪ cap ∩ setminus ∖ land ∧ wedge ∧ lor ∨ vee ∨ oplus ⊕ otimes ⊗ to → rightarrow → longrightarrow → "
    "xrightarrow → leftarrow ← gets ← leftrightarrow ↔ Rightarrow ⇒ Longrightarrow ⇒ implies ⇒ Leftarrow ⇐ "
    "Leftrightarrow ⇔ iff ⇔ mapsto ↦ mid ∣ parallel ∥ perp ⊥ uparrow ↑ downarrow ↓ rightleftharpoons ⇌ therefore ∴ "
    "because ∵"
)
"""Symbols with a space on both sides."""

SIGNS = _pairs(
    "ldots … dots … cdots ⋯ vdots ⋮ ddots ⋱ langle ⟨ rangle ⟩ lfloor ⌊ rfloor ⌋ lceil ⌈ rceil ⌉ lvert | rvert | vert | "
    "backslash \\ lbrace { rbrace } euro € pounds £ checkmark ✓ square □ blacksquare ■ copyright © | ‖"
) | {
    **dict.fromkeys(("quad", "qquad", ",", ";", ":", " ", "\n"), " "),
    **dict.fromkeys(("newline", "\\"), "\n"),
    **dict.fromkeys(("!", "(", ")", "[", "]"), ""),
}
"""Other symbols, spaces, and line breaks."""

FUNCTIONS = _words(
    "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln lg exp lim max min sup inf det gcd mod bmod "
    "arg deg dim ker Pr"
)
"""Functions, which are written by their names."""

ARGUMENTS = _words(
    "text textbf textit textrm textsf texttt textnormal mathrm mathbf mathit mathsf mathtt mathcal mathfrak mathscr "
    "boldsymbol bm operatorname mbox hbox boxed fbox underline underbrace overbrace cancel ensuremath widehat "
    "widetilde overrightarrow emph ce"
)
"""Commands that are left out while their argument stays."""

SKIPPED = _words(
    "left right big Big bigg Bigg bigl bigr Bigl Bigr displaystyle textstyle limits nolimits nonumber notag middle "
    "hline"
)
"""Commands that are left out."""

SKIPPED_WITH_ARGUMENT = _words("label color vspace hspace phantom end")
"""Commands that are left out with their argument."""

FRACTIONS = _words("frac dfrac tfrac cfrac nicefrac")

ACCENTS = {
    "vec": "\u20d7",
    "hat": "\u0302",
    "bar": "\u0304",
    "overline": "\u0304",
    "tilde": "\u0303",
    "dot": "\u0307",
    "ddot": "\u0308",
}
"""Characters that combine with the letter before them."""

DOUBLE_STRUCK = dict(zip("CNPQRZ", "ℂℕℙℚℝℤ", strict=True))
ROOTS = {"": "√", "2": "√", "3": "∛", "4": "∜"}

COMMANDS = frozenset().union(
    *(SYMBOLS, OPERATORS, FUNCTIONS, ARGUMENTS, SKIPPED, SKIPPED_WITH_ARGUMENT, FRACTIONS, ACCENTS),
    filter(str.isalpha, SIGNS),
    _words("sqrt mathbb begin binom tbinom dbinom textcolor overset underset stackrel tag not"),
)
"""Names of all known commands."""


def _small(kind: str) -> dict[str, str]:
    """Return Unicode's superscript or subscript characters, by the plain characters."""
    ranges = (range(0xB2, 0xBA), range(0x2B0, 0x2E4), range(0x1D2C, 0x1D6B), range(0x2070, 0x209D), (0x2C7C,))
    small = {"-": "⁻" if kind == "super" else "₋"}
    for code in (code for codes in ranges for code in codes):
        kind_found, _, base = unicodedata.decomposition(chr(code)).partition(" ")
        if kind_found == f"<{kind}>" and " " not in base:
            small.setdefault(chr(int(base, 16)), chr(code))
    return small


SUPERSCRIPTS = _small("super")
"""Superscript characters, by the plain characters."""
SUBSCRIPTS = _small("sub")
"""Subscript characters, by the plain characters."""
