"""Marks that model families write around reasoning, tool calls, answers and turns: a table, a row for each family.

The facts come from the families' chat templates and from the parsers of vLLM (`vllm/reasoning`, `vllm/tool_parsers`),
SGLang (`srt/function_call`, `srt/parser`) and llama.cpp (`common/chat.cpp`), as of November 2026. A mark is
written in its plain form: small letters, `|` for the wide bar of DeepSeek, `_` for its wide underscore, tags without
attributes. `marks.py` recognises its other forms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

Role = Literal["reasoning", "weak reasoning", "call", "answer", "close", "end", "turn", "token"]
"""Effect of a mark: it opens a part (reasoning, a call, the answer), closes a part, ends the answer, begins a turn, or
is merely removed (token). Weak reasoning is a tag that ordinary texts use, too."""


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Marks of one family. A pair is the mark that opens a part, and the mark that closes it ("" for none)."""

    name: str
    reasoning: tuple[tuple[str, str], ...] = ()
    calls: tuple[tuple[str, str], ...] = ()
    answers: tuple[tuple[str, str], ...] = ()
    """Marks around the text for the user; the text before them is not for the user."""
    ends: tuple[str, ...] = ()
    """Marks at which the model should have stopped; the text after them is invented."""
    turns: tuple[str, ...] = ()
    """Marks that begin a turn, before or after the name of its role."""
    tokens: tuple[str, ...] = ()


def _tags(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"<{name}>", f"</{name}>") for name in names)


def _pairs(firsts: str, seconds: str) -> Iterator[str]:
    """Yield each of the first words with each of the second ones."""
    return (f"{first}_{second}" for first in firsts.split() for second in seconds.split())


FAMILIES = (
    Family(
        name="tags of many: DeepSeek R1, Qwen 3, GLM, MiniMax, Nemotron, Granite 4, and prompts that ask for them",
        reasoning=_tags(
            *("think", "thinking", "thought", "thoughts", "reasoning", "scratchpad", "scratch_pad"),
            *("chain_of_thought", "antthinking", "think_fast", "think_faster"),
            *_pairs("inner internal", "monologue reasoning thinking thought thoughts"),
            *_pairs("reasoning thinking thought", "process scratchpad"),
        ),
        calls=(
            *_tags(
                "tool_call", "tool_calls", "toolcall", "tool_use", "tool_code", "tool_request", "use_mcp_tool"
            ),
            *_tags(
                "function_call",
                "function_calls",
                "functioncall",
                "tool_response",
                "tool_responses",
                "tool_result",
            ),
            *_tags("tool_results", "tool_output", "tool_outputs", "function_results", "function_result"),
            *(("<function=>", "</function>"), ("<invoke name=>", "</invoke>"), ("<tool name=>", "</tool>")),
            *(
                ("<parameter name=>", "</parameter>"),
                ("<parameter=>", "</parameter>"),
                ("<arg_key>", "</arg_value>"),
            ),
        ),
    ),
    Family(
        name="harmony (gpt-oss); its channels are read by `harmony.py`",
        ends=("<|return|>", "<|call|>", "<|end|>"),
        turns=("<|start|>",),
        tokens=("<|channel|>", "<|message|>", "<|constrain|>", "<|startoftext|>"),
    ),
    Family(
        name="DeepSeek V3 to V4, with DSML",
        calls=(
            ("<|tool_calls_begin|>", "<|tool_calls_end|>"),
            ("<|tool_call_begin|>", "<|tool_call_end|>"),
            ("<|tool_outputs_begin|>", "<|tool_outputs_end|>"),
            ("<|tool_output_begin|>", "<|tool_output_end|>"),
            *(
                (f"<dsml:{name}>", f"</dsml:{name}>")
                for name in ("tool_calls", "function_calls", "invoke", "parameter")
            ),
        ),
        ends=("<|end_of_sentence|>",),
        turns=("<|user|>", "<|assistant|>"),
        tokens=("<|begin_of_sentence|>", "<|tool_sep|>"),
    ),
    Family(
        name="Qwen, and others with ChatML",
        calls=(("<|tool_call|>", "<|/tool_call|>"), ("<|tool_calls|>", "<|/tool_calls|>")),
        ends=("<|im_end|>", "<|endoftext|>", "<|end_of_text|>", "<|eos|>", "<eos>", "</s>", "[eos]", "[eot]"),
        turns=("<|im_start|>",),
        tokens=(
            "<|im_sep|>",
            "<s>",
            "<bos>",
            "<pad>",
            "<unk>",
            "<|begin_of_text|>",
            "<|pad|>",
            "<|fim_prefix|>",
        ),
    ),
    Family(
        name="Kimi: K1.5, K2, K3",
        reasoning=(("◁think▷", "◁/think▷"), ("<open:think>", "</open:think>")),
        calls=(
            ("<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"),
            ("<open:tools>", "</open:tools>"),
            ("<open:toolscall>", "</open:toolsmessage>"),
            ("<open:call>", "</open:call>"),
        ),
        answers=(("<open:response>", "</open:response>"),),
        turns=("<|im_assistant|>", "<|im_user|>", "<|im_system|>"),
        tokens=(
            "<|im_middle|>",
            "</open:message>",
            "<|open|>",
            "<|close|>",
            "<|sep|>",
            "<|tool_call_argument_begin|>",
        ),
    ),
    Family(
        name="Gemma, MedGemma, Gemma 4",
        reasoning=(("<|channel>", "<channel|>"), ("<|think|>", "<|/think|>"), ("<unused94>", "<unused95>")),
        calls=(
            ("<|tool_call>", "<tool_call|>"),
            ("<|tool_response>", "<tool_response|>"),
            ("<|tool>", "<tool|>"),
            ("<start_function_call>", "<end_function_call>"),
            ("<start_function_response>", "<end_function_response>"),
        ),
        ends=("<end_of_turn>", "<turn|>"),
        turns=("<start_of_turn>", "<|turn>"),
        tokens=('<|"|>', "<escape>"),
    ),
    Family(
        name="Gemini; the numbered tokens are read by `marks.py`",
        reasoning=(("<ctrl94>", "<ctrl95>"),),
        calls=(("<ctrl42>", "<ctrl43>"),),
        tokens=("<ctrl46>",),
    ),
    Family(
        name="Llama 3 and 4",
        calls=(("<|python_tag|>", "<|eom_id|>"), ("<|python_start|>", "<|python_end|>")),
        ends=("<|eot_id|>", "<|eom_id|>", "<|eot|>", "<|eom|>", "<|finetune_right_pad_id|>"),
        turns=("<|start_header_id|>", "<|header_start|>"),
        tokens=("<|end_header_id|>", "<|header_end|>"),
    ),
    Family(
        name="Mistral, Magistral",
        reasoning=(("[think]", "[/think]"),),
        calls=(
            ("[tool_calls]", ""),
            ("[tool_results]", "[/tool_results]"),
            ("[available_tools]", "[/available_tools]"),
        ),
        answers=(("[/inst]", ""),),
        turns=("[inst]",),
        tokens=("[args]", "[call_id]", "[tool_content]"),
    ),
    Family(
        name="Seed",
        reasoning=_tags("seed:think", "seed:cot_budget_reflect"),
        calls=_tags("seed:tool_call"),
        ends=("<seed:eos>",),
        turns=("<seed:bos>",),
    ),
    Family(
        name="GLM",
        ends=("<|observation|>",),
        turns=("<|system|>",),
        tokens=("[gmask]", "<sop>", "<|begin_of_box|>", "<|end_of_box|>"),
    ),
    Family(
        name="Cohere Command",
        reasoning=(("<|start_thinking|>", "<|end_thinking|>"),),
        calls=(("<|start_action|>", "<|end_action|>"), ("<|start_tool_result|>", "<|end_tool_result|>")),
        answers=(("<|start_response|>", "<|end_response|>"), ("<|start_text|>", "<|end_text|>")),
        ends=("<|end_of_turn_token|>",),
        turns=("<|start_of_turn_token|>",),
        tokens=("<|chatbot_token|>", "<|user_token|>", "<|system_token|>", "<|bos_token|>"),
    ),
    Family(
        name="MiniMax",
        reasoning=_tags("mm:think"),
        calls=_tags("minimax:tool_call"),
        ends=("[e~[",),
        tokens=("]<]minimax[>[",),
    ),
    Family(
        name="Claude's old calls, and models that learned from them",
        calls=_tags("antml:function_calls", "antml:invoke", "antml:parameter"),
        reasoning=_tags("antml:thinking"),
    ),
    Family(
        name="Phi, InternLM, LFM 2, Nemotron, Granite, Hunyuan, Apertus, OpenThinker, Inkling, Step",
        reasoning=(
            ("<|begin_of_thought|>", "<|end_of_thought|>"),
            ("<|inner_prefix|>", "<|inner_suffix|>"),
            ("<|content_thinking|>", "<|end_message|>"),
            ("<|thinking|>", "<|/thinking|>"),
            ("<|begin_of_thinking|>", "<|end_of_thinking|>"),
        ),
        calls=(
            ("<|action_start|>", "<|action_end|>"),
            ("<|tool_call_start|>", "<|tool_call_end|>"),
            ("<|tools_prefix|>", "<|tools_suffix|>"),
            ("<|content_invoke_tool_json|>", "<|end_message|>"),
            ("<|content_invoke_tool_text|>", "<|end_message|>"),
            ("<|function_call|>", "<|/function_call|>"),
            ("<|tool_response|>", "<|/tool_response|>"),
        ),
        answers=(("<|begin_of_solution|>", "<|end_of_solution|>"), ("<|content_text|>", "<|end_message|>")),
        ends=("<|assistant_end|>", "<|end_of_turn|>", "<|extra_0|>"),
        turns=(
            "<|assistant_start|>",
            "<|start_of_role|>",
            "<|message_model|>",
            "<|message_user|>",
            "<|role|>",
        ),
        tokens=("<|plugin|>", "<|interpreter|>", "<|end_of_role|>", "<|content_model_end_sampling|>"),
    ),
    Family(
        name="EXAONE, HyperCLOVA X, GigaChat; the calls of GigaChat are read by `covers.py`",
        ends=("[|endofturn|]", "<|endofturn|>", "<|message_sep|>"),
        turns=("[|assistant|]", "[|user|]", "[|system|]", "[|tool|]"),
        tokens=("<|role_sep|>",),
    ),
    Family(name="LongCat", reasoning=_tags("longcat_think"), calls=_tags("longcat_tool_call")),
    Family(
        name="LM Studio, for models without calls of their own",
        calls=(
            ("[tool_call]", "[/tool_call]"),
            ("[tool_request]", "[end_tool_request]"),
            ("[tool_result]", "[end_tool_result]"),
        ),
    ),
)

WEAK_REASONING = _tags("analysis", "reflection", "rationale", "planning", "internal")
"""Tags that mean reasoning at the beginning of an answer, and may mean anything elsewhere."""

ANSWER_TAGS = ("answer", "final_answer", "final", "response", "reply", "output", "result", "message")
"""Names of tags that some prompts and Hunyuan, ERNIE and R1-Zero put around the answer."""

ROLES_OF_TURNS = (
    "assistant|model|ai|bot|chatbot|gpt|user|human|system|tool|developer|ipython|function|observation"
)

CALL_LABELS = frozenset(
    (
        "tool_code",
        "tool_call",
        "tool_calls",
        "tool_outputs",
        "tool_output",
        "tool_use",
        "function_call",
        "tool_response",
    )
)
"""Labels of fenced blocks that are calls or their results, as Gemini writes them."""


def _rows() -> Iterator[tuple[Role, tuple[tuple[str, str], ...]]]:
    yield "weak reasoning", WEAK_REASONING
    for family in FAMILIES:
        yield "reasoning", family.reasoning
        yield "call", family.calls
        yield "answer", family.answers


def _by_mark() -> tuple[dict[str, Role], dict[str, frozenset[str]]]:
    roles: dict[str, Role] = {}
    closers: dict[str, frozenset[str]] = {}
    for family in FAMILIES:
        roles.update(dict.fromkeys(family.ends, "end"))
        roles.update(dict.fromkeys(family.turns, "turn"))
        roles.update(dict.fromkeys(family.tokens, "token"))
    for role, pairs in _rows():
        for opening, closing in pairs:
            roles[opening] = role
            closers[opening] = closers.get(opening, frozenset()) | {closing}
    # Sorted, so that tests which take samples of ROLES take the same ones each time.
    for closing in sorted(frozenset[str]().union(*closers.values()) - {""}):
        roles.setdefault(closing, "close")
    return roles, closers


ROLES, CLOSERS = _by_mark()
"""Role of each mark, and for each mark that opens a part, the marks that close it."""
REASONING_CLOSERS = frozenset(
    closing for family in FAMILIES for _, closing in family.reasoning if closing != "<|end_message|>"
)
"""Marks that close reasoning: without an opening mark, all text before them is reasoning."""
CALLS_OF_TOKENS = {
    "]<]minimax[>[": frozenset(("</tool_call>",)),
    "<|tool_call_argument_begin|>": frozenset(("<|tool_call_end|>", "<|tool_calls_section_end|>")),
}
"""Tokens inside calls, each with the marks that close the call: its beginning may be missing."""
