"""Formulas of LaTeX as plain text, and texts that only look like formulas."""

from __future__ import annotations

import time

import pytest

from queue_core.channels.form.latex import text_of_latex
from queue_core.channels.form.markdown import converted

FORMULAS = [
    (r"6 \div 3 = 2", "6 ÷ 3 = 2"),
    (r"2\times 5\cdot x", "2 × 5 · x"),
    (r"\frac{p}{q}", "p/q"),
    (r"\dfrac{p+1}{2q}", "(p+1)/(2q)"),
    (r"\frac{1}{3}h", "(1/3)h"),
    (r"1\frac{1}{2}", "1 1/2"),
    (r"\frac12", "1/2"),
    (r"\frac{\text{price}}{\text{kg}}", "price/(kg)"),
    (r"\sqrt{9} + \sqrt[3]{n-1} + \sqrt[5]{2}", "√9 + ∛(n-1) + ⁵√2"),
    (r"a^2 + b^{10} - c_{12} + v_i", "a² + b¹⁰ - c₁₂ + vᵢ"),
    (r"e^{-t^2} + x_{A,B} + q^{?}", "e^(-t²) + x_(A,B) + q^(?)"),
    (r"90^\circ \le \theta < 20^{\circ}\text{C}", "90° ≤ θ < 20°C"),
    (r"2 \pi r + \Delta t + \alpha \beta + \Omega", "2 πr + Δt + αβ + Ω"),
    (r"\text{net} = 5\,\mathrm{kg} \approx 11{,}0~\textbf{lb}", "net = 5 kg ≈ 11,0 lb"),
    (r"\left( \frac{a}{b} \right)^2", "( a/b )²"),
    (r"\sin\theta + \log_2 8 + \ln(x)", "sin θ + log₂ 8 + ln(x)"),
    (r"\sum_{i=1}^{n} i \to \infty", "∑ᵢ₌₁ⁿ i → ∞"),
    (r"\begin{aligned} p &= 1 \\ q &= 2 \end{aligned}", "p = 1\nq = 2"),
    (r"\begin{array}{cc} 1 & 2 \\ 3 & 4 \end{array}", "1 2\n3 4"),
    (r"\boxed{7} \in \mathbb{N}, y \not\in \mathbb{R}", "7 ∈ ℕ, y ∉ ℝ"),
    (r"\hat{y} + \overline{AB} + f'", "ŷ + AB + f′"),
    (r"\binom{5}{2} \tag{1} \label{eq}", "C(5, 2) (1)"),
    (r"50\% \times \$20 = \{10\}", "50% × $20 = {10}"),
    (r"2 * 3 \ne \textcolor{red}{5}", "2 × 3 ≠ 5"),
    (r"\unheard{of} \name", "of name"),
    (r"\frac{a", "a/"),
    (r"}^{\\", ""),
]

WRITTEN_ANEW = [
    (r"It is $6 \div 3 = 2$ for $7 or $8.", "It is 6 ÷ 3 = 2 for $7 or $8."),
    (r"So \( y = \frac{1}{2} \), and \[ y^2 = \frac{1}{4} \]", "So y = 1/2, and y² = 1/4"),
    ("Thus\n\n$$\n\\frac{m}{n}\n$$\n\nis it", "Thus\n\nm/n\n\nis it"),
    ("> \\[\n> \\sqrt{2}\n> \\]", "> √2"),
    ("\\[\n\\begin{aligned}\na &= b \\\\\n+ c \\cdot d\n- e\n\\end{aligned}\n\\]", "a = b\n+c · d - e"),
    (r"Area $A = \pi r^2$, where $r$ is the radius", "Area A = πr², where r is the radius"),
    ("$E = mc^2$ and $x_{1}$", "E = mc² and x₁"),
    ("Take $a$ and $b$ with $a^2 + b^2 = c^2$.", "Take a and b with a² + b² = c²."),
    (r"\(y\) is \(z^2\)", "y is z²"),
    ("H$_2$O, m$^2$ and 10$^{-3}$", "H₂O, m² and 10⁻³"),
    (r"**$x^2$** and *$\alpha$*", "*x²* and _α_"),
    (r"- half: $\frac{1}{2}$", "- half: 1/2"),
    ("| a | b | c |\n|---|---|---|\n| d | $2^3$ | $\\beta$ |", "a: *d*\nb: 2³\nc: β"),
    (r"add \frac{3}{4} cup \times 2, \boxed{8}", "add 3/4 cup × 2, 8"),
    (r"x \rightarrow y", "x → y"),
]

STAYS = [
    "$3 and $5, US$7-$9, $10/$20, between $1 and $2 or 3$-4$",
    "$20 for x^2 and $30 for y^2",
    "$HOME_DIR/$PATH, $USER$, ${name}$ and $_GET, $this->a_b",
    "C:\\times\\frac\\new and D:\\text\\alpha, srv\\pi\\sqrt",
    r"`$x^2$ \frac{1}{2}` and `\(a\)`",
    "```\n$x^2$ and \\[ \\frac{1}{2} \\]\n```",
    r"^\d+$|^\w+$ and \bword\b",
    "$AAPL and $TSLA rose, $BTC$",
    "https://a.example/$x^2$/b",
]


@pytest.mark.parametrize(("formula", "expected"), FORMULAS)
def test_a_formula_becomes_plain_text(formula: str, expected: str) -> None:
    assert text_of_latex(formula) == expected


@pytest.mark.parametrize(("text", "expected"), WRITTEN_ANEW)
def test_a_formula_in_a_text_is_written_anew(text: str, expected: str) -> None:
    assert converted(text) == expected
    assert converted(expected) == expected


@pytest.mark.parametrize("text", STAYS)
def test_a_text_that_only_looks_like_a_formula_stays(text: str) -> None:
    assert converted(text) == text


@pytest.mark.parametrize(
    "piece", ["{", "\\frac{", "x^", "^", "\\not", "{^", "\\sqrt[", "\\binom", "a_", "\\left", "\\"]
)
def test_deep_and_long_formulas_are_read_in_a_time_that_grows_with_their_length(piece: str) -> None:
    began = time.process_time()
    text_of_latex(piece * 20_000)
    assert time.process_time() - began < 10
