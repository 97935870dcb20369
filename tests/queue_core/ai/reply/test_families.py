"""Marks of each family of models: reasoning, calls, channels and tokens, as people reported them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from queue_core.ai.reply import extract
from queue_core.ai.reply.families import FAMILIES, WEAK_REASONING

ANSWERS = {
    "gpt-oss: a preamble, then the final channel": (
        "<|channel|>analysis<|message|>Hours. Need tool? No.<|end|><|start|>assistant<|channel|>commentary<|message|>Let me check that.<|end|><|start|>assistant<|channel|>final<|message|>We open at nine.<|return|>",
        "We open at nine.",
    ),
    "gpt-oss: a call whose first tokens are missing": (
        'We open at nine.【commentary to=functions.ask <|constrain|>json<|message|>{"question":"hours"}',
        "We open at nine.",
    ),
    "gpt-oss: channels whose tokens are missing": (
        "analysisThe user asks for hours. We should answer nine.assistantfinalWe open at nine.",
        "We open at nine.",
    ),
    "gpt-oss: an object in the final channel": (
        '<|start|>assistant<|channel|>final <|constrain|>json<|message|>{"response": "We open at nine.", "needsDataCollection": false}<|return|>',
        "We open at nine.",
    ),
    "gpt-oss: a call whose recipient stands in the role": (
        "<|start|>assistant to=functions.hours<|channel|>commentary json<|message|>{}<|call|>",
        "",
    ),
    "Kimi K3: an empty response": (
        "<|open|>response<|sep|><|close|>response<|sep|><|close|>message<|sep|>",
        "",
    ),
    "Kimi K3: reasoning and a response": (
        "<|open|>think<|sep|>They ask.<|close|>think<|sep|><|open|>response<|sep|>We open at nine.<|close|>response<|sep|><|close|>message<|sep|>",
        "We open at nine.",
    ),
    "Kimi K3: a call in a dialect": (
        'We open at nine.<|open|>toolscall tool="Hours" index="1"<|sep|><|open|>argument key="day" type="string"<|sep|>mon<|close|>argument<|sep|><|close|>call<|sep|><|close|>toolsmessage<|sep|>',
        "We open at nine.",
    ),
    "Kimi K3: a response that lost its first token": (
        "We open at nine.response<|sep|>",
        "We open at nine.response",
    ),
    "Kimi K2: a section of calls": (
        'One moment.<|tool_calls_section_begin|><|tool_call_begin|>functions.hours:0<|tool_call_argument_begin|>{"day": "mon"}<|tool_call_end|><|tool_calls_section_end|>',
        "One moment.",
    ),
    "DeepSeek V3: calls with wide bars": (
        'One moment.<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>hours\n```json\n{"day":"mon"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜><｜end▁of▁sentence｜>',
        "One moment.",
    ),
    "DeepSeek V3: tokens with spaces": (
        "One moment.<| tool calls begin |><| tool call begin |>function<| tool sep |>hours{}<| tool call end |><| tool calls end |>",
        "One moment.",
    ),
    "DeepSeek V4: calls with other bars, and names of their own": (
        'One moment.\n<‖DSML‖calls>\n<‖DSML‖invoke name="x">\n</‖DSML‖invoke>\n</‖DSML‖calls>',
        "One moment.",
    ),
    "DeepSeek V4: a call with doubled bars": (
        "One moment.\n<｜｜DSML｜｜r=hours>\n<parameter=day>mon</parameter>\n</｜｜DSML｜｜r>",
        "One moment.",
    ),
    "DeepSeek V4: a call that is cut off in its first tag": (
        "One moment.\n<｜DSML｜tool_calls",
        "One moment.",
    ),
    "Gemma 4: reasoning and a call": (
        '<|channel>thought\nHours.\n<channel|><|tool_call>call:hours{day:<|"|>mon<|"|>}<tool_call|>',
        "",
    ),
    "Gemma 4: tokens without a meaning": ("We open<unused6226><unused6226> at nine.", "We open at nine."),
    "MedGemma: reasoning": (
        "<unused94>thought\nThe user wants hours.<unused95>We open at nine.",
        "We open at nine.",
    ),
    "Gemma 3: a turn that the model invents": (
        "We open at nine.<end_of_turn>\n<start_of_turn>user\nThanks<end_of_turn>\n",
        "We open at nine.",
    ),
    "Llama 3: headers and an invented turn": (
        "<|start_header_id|>assistant<|end_header_id|>\n\nWe open at nine.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nOk",
        "We open at nine.",
    ),
    "Llama 3.1: a call in Python": ('<|python_tag|>hours.call(day="mon")<|eom_id|>', ""),
    "Llama 4: calls between tokens": ('<|python_start|>[hours(day="mon")]<|python_end|>', ""),
    "Llama 4: calls in Python without a token": ('[get_hours(day="mon"), get_price(item="shoe")]', ""),
    "Mistral: a call with its id": ('[TOOL_CALLS]hours[CALL_ID]abc123[ARGS]{"day": "mon"}', ""),
    "Mistral: a call after a text": (
        'We look it up. [TOOL_CALLS] [{"name": "hours", "arguments": {"day": "mon"}}]</s>',
        "We look it up.",
    ),
    "Mistral: the question repeated": (
        "[INST] When do you open? [/INST] We open at nine.</s>",
        "We open at nine.",
    ),
    "Seed: reasoning with a budget": (
        "<seed:think>They ask.<seed:cot_budget_reflect>I used 10 tokens.</seed:cot_budget_reflect></seed:think>We open at nine.<seed:eos>",
        "We open at nine.",
    ),
    "GLM 4.5: a call as tags": (
        "\n<think></think>\nLet me check.\n<tool_call>hours\n<arg_key>day</arg_key>\n<arg_value>mon</arg_value>\n</tool_call>",
        "Let me check.",
    ),
    "GLM 4.5: a token of the user's turn": ("We open at nine.<|user|>\nThanks", "We open at nine."),
    "GLM 4.1: an answer with a box": (
        "<think>t</think><answer>We open at <|begin_of_box|>nine<|end_of_box|>.</answer>",
        "We open at nine.",
    ),
    "Cohere: reasoning and a response": (
        "<|START_THINKING|>They ask.<|END_THINKING|><|START_RESPONSE|>We open at nine.<|END_RESPONSE|><|END_OF_TURN_TOKEN|>",
        "We open at nine.",
    ),
    "Cohere: an action": (
        '<|START_ACTION|>[{"tool_call_id":"0","tool_name":"hours","parameters":{}}]<|END_ACTION|>',
        "",
    ),
    "MiniMax M3: a call with its own marks": (
        ']<]minimax[>[<tool_call>]<]minimax[>[<invoke name="hours">]<]minimax[>[<day>mon]<]minimax[>[</day>]<]minimax[>[</invoke>]<]minimax[>[</tool_call>',
        "",
    ),
    "Nemotron: a call": ('<TOOLCALL>[{"name": "hours", "arguments": {}}]</TOOLCALL>', ""),
    "reasoning that never ends, after a text": ("Sure.\n<think>\nLet me reconsider the hours.", "Sure."),
    "reasoning after blank lines": (
        "\n\n<think>\nThey ask.\n</think>\n\nWe open at nine.",
        "We open at nine.",
    ),
    "reasoning without its first tag": (
        "The user asks for hours, and the list says nine. I answer with that.\n</think>We open at nine.",
        "We open at nine.",
    ),
    "a damaged object with a thought, before the text": (
        '{"thought": "They ask "when" for hours."}\nWe open at nine.',
        "We open at nine.",
    ),
    "Gemini: a body with a thought": (
        '{"candidates": [{"content": {"role": "model", "parts": [{"thought": true, "text": "**Interpreting**"}, {"text": "We open at nine."}]}}]}',
        "We open at nine.",
    ),
    "Gemini: code that calls, without a fence": ('tool_code\nprint(default_api.hours(day="mon"))', ""),
    "Gemini: a tool's output before the text": (
        '```tool_outputs\n{"open": 9}\n```\nWe open at nine.',
        "We open at nine.",
    ),
    "Qwen 3 Coder: a call in a call": (
        "One moment.\n<tool_call>\n<function=hours>\n<parameter=day>\nmon\n</parameter>\n</function>\n</tool_call>",
        "One moment.",
    ),
    "Claude's old calls with results": (
        'One moment.\n<function_calls>\n<invoke name="hours">\n<parameter name="day">mon</parameter>\n</invoke>\n</function_calls>\n<function_results>9</function_results>\nWe open at nine.',
        "One moment.\nWe open at nine.",
    ),
    "Granite 3: reasoning named in words": (
        "Here is my thought process: they ask for hours.\nHere is my response: We open at nine.",
        "We open at nine.",
    ),
    "stop text after end": (
        "We open at nine.<|im_end|>\n<|im_start|>user\nAnd on Friday?<|im_end|>\n<|im_start|>assistant\nClosed.",
        "We open at nine.",
    ),
    "eos then junk": ("We open at nine.</s></s></s>", "We open at nine."),
    "phi": ("We open at nine.<|end|>", "We open at nine."),
    "endoftext": ("We open at nine.<|endoftext|>Human: hi\n\nAssistant: hello", "We open at nine."),
    "a token that is cut off": ("We open at nine.<|im_en", "We open at nine."),
    "arabic end": ("نفتح الساعة التاسعة صباحاً.<|eot_id|>", "نفتح الساعة التاسعة صباحاً."),
    "arabic think": (
        "<think>المستخدم يسأل عن المواعيد.</think>نفتح الساعة التاسعة صباحاً.",
        "نفتح الساعة التاسعة صباحاً.",
    ),
    "arabic bare": (
        "المستخدم يسأل عن المواعيد.\n</think>\nنفتح الساعة التاسعة صباحاً.",
        "نفتح الساعة التاسعة صباحاً.",
    ),
    "think attr": ('<think duration="3s">They ask.</think>We open at nine.', "We open at nine."),
    "thinking closes with think": ("<thinking>They ask.</think>We open at nine.", "We open at nine."),
    "unclosed think then tool": (
        '<think>They ask.<tool_call>{"name":"hours","arguments":{}}</tool_call>',
        "",
    ),
    "two thinks with answer between": (
        "<think>a</think>\nWe open at nine.\n<think>b</think>",
        "We open at nine.",
    ),
    "pseudo-xml analysis": (
        "<analysis>\nhm\n</analysis>\n\n<answer>We open at nine.</answer>",
        "We open at nine.",
    ),
    "response tag ERNIE": (
        "<think>\nhm\n</think>\n\n<response>\nWe open at nine.\n</response>",
        "We open at nine.",
    ),
    "scratchpad": ("<scratchpad>look up</scratchpad>\nWe open at nine.", "We open at nine."),
    "tool_call json no close at end": (
        'We open at nine.\n<tool_call>\n{"name": "save", "arguments": {"x": 1}}\n',
        "We open at nine.",
    ),
    "bare json call after text": (
        'Let me check.\n{"name": "hours", "arguments": {"day": "mon"}}',
        "Let me check.",
    ),
    "bare json call only": ('{"name": "hours", "parameters": {"day": "mon"}}', ""),
    "llama3 json call; list": ('[{"name": "hours", "arguments": {}}]', ""),
    "openai tool_calls": (
        '{"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "hours", "arguments": "{}"}}]}',
        "",
    ),
    "openai tool_calls w content": (
        '{"role": "assistant", "content": "One moment.", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "hours", "arguments": "{}"}}]}',
        "One moment.",
    ),
    "functools": ('functools[{"name": "hours", "arguments": {"day": "mon"}}]', ""),
    "internlm": (
        'One moment.<|action_start|><|plugin|>{"name": "hours", "parameters": {}}<|action_end|>',
        "One moment.",
    ),
    "lfm2": ('<|tool_call_start|>[hours(day="mon")]<|tool_call_end|>', ""),
    "functionary": (">>>all\nWe open at nine.", "We open at nine."),
    "functionary call": ('>>>hours\n{"day": "mon"}', ""),
    "glm legacy": ('get_hours\n{"day": "mon"}', ""),
    "xml dsml ascii": (
        'Ok.\n<|DSML|function_calls>\n<|DSML|invoke name="x">\n</|DSML|invoke>\n</|DSML|function_calls>',
        "Ok.",
    ),
    "antml": (
        'Ok.\n<function_calls>\n<invoke name="x">\n<parameter name="a">1</parameter>\n</invoke>\n</function_calls>',
        "Ok.",
    ),
    "tool result echoed": (
        '<tool_response>\n{"open": 9}\n</tool_response>\nWe open at nine.',
        "We open at nine.",
    ),
    "gemini ctrl thinking": ("<ctrl94>thought\nThey ask.<ctrl95>We open at nine.", "We open at nine."),
    "gemini ctrl99 end": ("We open at nine.<ctrl99>", "We open at nine."),
    "gemini python call in fence": ('```python\nprint(default_api.hours(day="mon"))\n```', ""),
    "gemini thought prefix json": (
        '{"thought": "They ask.", "response": "We open at nine."}',
        "We open at nine.",
    ),
    "kimi k2 unclosed": (
        'Ok.<|tool_calls_section_begin|><|tool_call_begin|>functions.x:0<|tool_call_argument_begin|>{"a":',
        "Ok.",
    ),
    "harmony missing message": ("<|channel|>analysis<|message|>They ask", ""),
    "harmony commentary preamble only + call": (
        "<|channel|>commentary<|message|>One moment.<|end|><|start|>assistant<|channel|>commentary to=functions.x <|constrain|>json<|message|>{}<|call|>",
        "One moment.",
    ),
    "harmony final cut": ("<|channel|>final<|message|>We open at nine.", "We open at nine."),
    "assistant header stripped": ("assistant\n\nWe open at nine.", "We open at nine."),
    "reasoning and a text in one fence": (
        "```\n<think>hm</think>\nWe open at nine.\n```",
        "We open at nine.",
    ),
    "think inside JSON string": (
        '{"response": "<think>hm</think>We open at nine.", "needsDataCollection": false}',
        "We open at nine.",
    ),
    "end token inside JSON string": ('{"response": "We open at nine.<|im_end|>"}', "We open at nine."),
    "json after reasoning": (
        '<think>\nhm {"response": "x"}\n</think>\n\n```json\n{"response": "We open at nine.", "needsDataCollection": true, "requestedFields": ["name"]}\n```',
        "We open at nine.",
    ),
    "bos and eos": ("<s>We open at nine.</s>", "We open at nine."),
    "bos space": ("<s> We open at nine.</s>", "We open at nine."),
    "openclaw 144942": (
        'Let me check.\n<tool_call]<]minimax[>[><invoke]<]minimax[>[ name="x">]<]minimax[>[</invoke></tool_call>',
        "Let me check.",
    ),
    "openclaw 62820": (
        'Let me check what reminders are active:\n<minimax:tool_call>\n<invoke name=\\"exec\\">\n<parameter name=\\"command\\">ls</parameter>\n</invoke>\n</minimax:tool_call>',
        "Let me check what reminders are active:",
    ),
    "openclaw 45000": (
        'We open at nine.\n\n<tool_call>\n<function=exec>\n<parameter=command>\ncurl -d @x && python3 -c "print(len(d.get("r", [])))"\n</parameter>\n</function>\n</tool_call>',
        "We open at nine.",
    ),
    "openclaw 40573": (
        "We open at nine.<|tool_call_result_begin|>9<|tool_call_result_end|>",
        "We open at nine.",
    ),
    "openclaw 40573 b": ("<|assistant|>We open at nine.<|tool_list_end|>", "We open at nine."),
    "openclaw 42173": ("<｜begin▁of▁sentence｜>We open at nine.", "We open at nine."),
    "DeepSeek roles": (
        "<｜User｜>When?<｜Assistant｜>We open at nine.<｜end▁of▁sentence｜>",
        "We open at nine.",
    ),
    "openclaw 25592": ('One moment. to=functions.exec {"command":"ls"}', "One moment."),
    "openclaw 97750": (
        'One moment.\n<antml:invoke name="hours">\n<antml:parameter name="d">1</antml:parameter>\n</antml:invoke>',
        "One moment.",
    ),
    "final tag": ("<think>hm</think><final>We open at nine.</final>", "We open at nine."),
    "reflection then output": (
        "<reflection>They ask.</reflection>\n<output>We open at nine.</output>",
        "We open at nine.",
    ),
    "thinking in bold": (
        "**Thinking:** they ask for hours.\n\n**Answer:** We open at nine.",
        "**Thinking:** they ask for hours.\n\n**Answer:** We open at nine.",
    ),
    "think with newline in tag": ("<think\n>They ask.</think\n>\nWe open at nine.", "We open at nine."),
    "capital Think": ("<Think>They ask.</Think> We open at nine.", "We open at nine."),
    "escaped tags": ("&lt;think&gt;They ask.&lt;/think&gt;We open at nine.", "We open at nine."),
    "unicode escaped in object": (
        '{"response": "\\u003c|im_start|\\u003eassistant\\nWe open at nine.\\u003c|im_end|\\u003e"}',
        "We open at nine.",
    ),
    "think in arabic, list": (
        "<think>\nالمستخدم يسأل.\n- نقطة\n</think>\n\nنفتح الساعة ٩.\n- من الأحد\n- إلى الخميس",
        "نفتح الساعة ٩.\n- من الأحد\n- إلى الخميس",
    ),
    "nested think": ("<think>a <think>b</think> c</think>We open at nine.", "We open at nine."),
    "think in code in think": ("<think>use `</think>` to end</think>We open at nine.", "We open at nine."),
    "qwen3 no think suffix": ("We open at nine. /no_think", "We open at nine. /no_think"),
    "two ends": ("We open at nine.<|im_end|><|im_end|><|endoftext|>", "We open at nine."),
    "only turn tokens": ("<|im_start|>assistant\n<|im_end|>", ""),
    "gemma turn": ("<|turn>model\nWe open at nine.<turn|>", "We open at nine."),
    "step call": (
        'One moment.<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="x"></steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>',
        "One moment.",
    ),
    "harmony: final twice": (
        "<|channel|>final<|message|>We open at nine.<|end|><|start|>assistant<|channel|>final<|message|>We open at nine.<|return|>",
        "We open at nine.",
    ),
    "harmony: header garbled": (
        "<|start|>assistant<|channel|>final<|channel|>final<|message|>We open at nine.",
        "We open at nine.",
    ),
    "harmony: user echo": (
        "<|start|>user<|message|>When?<|end|><|start|>assistant<|channel|>final<|message|>We open at nine.<|return|>",
        "We open at nine.",
    ),
    "harmony stripped with call": (
        'analysisNeed hours.assistantcommentary to=functions.hours json{"d":1}',
        "",
    ),
    "json call with text key": (
        '{"tool_calls": [{"name": "reply", "args": {"text": "We open at nine."}}]}',
        "",
    ),
    "call array after text": (
        'Let me look.\n[{"name": "search", "arguments": {"q": "hours"}}]',
        "Let me look.",
    ),
    "command-r action": (
        'Plan: look up.\nAction: ```json\n[{"tool_name": "hours", "parameters": {}}]\n```',
        "Plan: look up.",
    ),
    "n8n 23819 used tools": (
        '[Used tools: Tool: Check_hours, Input: {"day":"monday"}, Result: [{"open":"9:00","close":"18:00"}]] We open at nine.',
        "We open at nine.",
    ),
    "n8n 23819 used tools only": ('[Used tools: Tool: Calculator, Input: {"input":"12*3"}, Result: 36]', ""),
    "openclaw 15043 historical context": (
        '[Historical context: a different model called tool "check_order" with arguments: {"id":"A-17"}. Do not mimic this format - use proper function calling.]\nYour order is on its way.',
        "Your order is on its way.",
    ),
    "openclaw downgraded call": (
        'One moment, please.\n[Tool Call: check_order (ID: call_1)]\nArguments: {"id": "A-17"}',
        "One moment, please.",
    ),
    "openclaw downgraded result": (
        '[Tool Result for ID call_1]\n{"state": "sent"}\n\nYour order is on its way.',
        "Your order is on its way.",
    ),
    "memoh 446": ('[Previous assistant tool use]\nTool: check_order\nInput: {"id": "A-17"}', ""),
    "open webui 24634": (
        '<details type="tool_calls" done="true" id="call_1" name="get_hours" arguments="&quot;{}&quot;">\n<summary>Tool Executed</summary>\n"{\\"open\\": 9}"\n</details>\nWe open at nine.',
        "We open at nine.",
    ),
    "open webui 24635": (
        'Let me look.\n<details type="reasoning" done="true" duration="2">\n<summary>Thought for 2 seconds</summary>\n> The user asks for hours.\n</details>\n<details type="reasoning" done="true" duration="0">\n<summary>Thought for 0 seconds</summary>\n> Nine.\n</details>\nWe open at nine.',
        "Let me look.\nWe open at nine.",
    ),
    "dify 14303": (
        '<details style="color:gray;background-color: #f8f8f8;padding: 8px;border-radius: 4px;" open> <summary> Thinking... </summary>The user asks.\n</details>\n\nWe open at nine.',
        "We open at nine.",
    ),
    "dify 14479": ("<think>The user greets.<\\think>Hello! How can I help?", "Hello! How can I help?"),
    "sglang 36285": ("The user asks for the hours.\n<//think>\nWe open at nine.", "We open at nine."),
    "openclaw 25655": (
        "Reasoning:\n_El usuario pregunta por el horario._\n_Mirando la conversación: abrimos a las nueve._\n\nAbrimos a las nueve.",
        "Abrimos a las nueve.",
    ),
    "langgraph supervisor 160": (
        '{"messages": [{"type": "human", "content": "When do you open?"}, {"type": "ai", "content": "", "name": "supervisor", "tool_calls": [{"name": "transfer_to_hours_agent", "args": {}, "id": "1"}]}, {"type": "tool", "content": "Successfully transferred to hours_agent", "name": "transfer_to_hours_agent"}, {"type": "ai", "content": "We open at nine.", "name": "hours_agent"}, {"type": "ai", "content": "Transferring back to supervisor", "name": "hours_agent", "tool_calls": [{"name": "transfer_back_to_supervisor", "args": {}, "id": "2"}]}, {"type": "tool", "content": "Successfully transferred back to supervisor", "name": "transfer_back_to_supervisor"}]}',
        "We open at nine.",
    ),
    "minimax m3 31": (
        'Let me check.]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="read_file">]<]minimax[>[<path>C:\\a]<]minimax[>[</path>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>',
        "Let me check.",
    ),
    "github app 2128": (
        "One moment.\n]<]minimax[>[]<]minimax[>[<initial_wait>10]<]minimax[>[</initial_wait>]<]minimax[>[\n]<]minimax[>[</tool_call>",
        "One moment.",
    ),
    "kimi k3 oh-my-pi 8495": (
        '<|open|>toolscall tool="StrReplace" index="1"<|sep|><|open|>argument key="path" type="string"<|sep|>src/rendererargument<|sep|><|close|>call<|sep|><|close|>toolstoolsmessage<|sep|>',
        "",
    ),
    "typeclaw 344": (
        'channel_reply:0<|tool_call_argument_begin|>{"text": "We open at nine."}<|tool_calls_section_end|>\nchannel_reply:1<|tool_call_argument_begin|>{"text": "Bye."}<|tool_calls_section_end|>',
        "",
    ),
    "claude court": (
        'I will check that.\n\ncourt\n<invoke name="Bash">\n<parameter name="command">date</parameter>\n</invoke>',
        "I will check that.",
    ),
    "claude count": (
        '確認します。\n\ncount\n<invoke name="Read">\n<parameter name="file_path">a</parameter>\n</invoke>',
        "確認します。",
    ),
    "hermes 119261 dsml": (
        '<｜DSML｜tool_calls> <｜DSML｜invoke name="terminal"> <｜DSML｜parameter name="background" string="false">true</｜DSML｜parameter> </｜DSML｜invoke> </｜DSML｜tool_calls>',
        "",
    ),
    "genericagent 804 cut dsml": ("We open at nine.<‖DS", "We open at nine."),
    "glm 5.2 fw 119": ("I look it up.<tool_call>list_orders</arg_value>", "I look it up."),
    "glm sigit 95": (
        "<tool_call>get_hours<tool_call>day</arg_key><arg_value>monday</arg_value></tool_call>We open at nine.",
        "We open at nine.",
    ),
    "livekit 6942 newline": (
        "thought\nI see you're calling from the number we have on file. Am I speaking with Ana?",
        "I see you're calling from the number we have on file. Am I speaking with Ana?",
    ),
    "livekit 6942 brackets": (
        "thought[]I see you're calling from the number we have on file.",
        "I see you're calling from the number we have on file.",
    ),
    "livekit 6942 parens": ("thought() I can help you with that.", "I can help you with that."),
    "omlx 844": (
        "I'll check the model.\n\n<function=Bash>\n<parameter=command>\necho hi\n</parameter>\n</function>\n</tool_call>",
        "I'll check the model.",
    ),
    "ollama 18082": ("17 × 24 = 408\n\nLet me verify: 17 × 24 = 340 + 68 = 408</think>408", "408"),
    "qwen-code 10982": ("<think>a<think>b</think>c</think>d", "d"),
    "openclaw NO_REPLY": ("NO_REPLY", ""),
    "openclaw HEARTBEAT_OK": ("HEARTBEAT_OK", ""),
    "smolagents 114": (
        'Thought: I know it.\nCode:\n```py\nfinal_answer("We open at nine.")\n```<end_code>',
        "We open at nine.",
    ),
    "smolagents new": (
        'Thought: I know it.\n<code>\nfinal_answer("We open at nine.")\n</code>',
        "We open at nine.",
    ),
    "opencode 2291 grok": (
        '<xai:function_call name="get_hours">\n<parameter name="day">monday</parameter>\n</xai:function_call>\nWe open at nine.',
        "We open at nine.",
    ),
    "cline 13348 envelope": (
        '{"data": {"choices": [{"message": {"content": "We open at nine.", "role": "assistant"}}]}, "success": true}',
        "We open at nine.",
    ),
    "ollama provider 11": (
        '{\n "name": "weather",\n "arguments": {"location": "SF"}\n} {\n "name": "cityAttractions",\n "arguments": {"city":"SF"}\n}',
        "",
    ),
    "llama.cpp 15012": ('We open at nine.\n{\n  "tool_calls": []\n}', "We open at nine."),
    "rapid-mlx 1076": ('[get_weather(location="Paris")]', ""),
    "a record of two calls, in Arabic": (
        '[Used tools: Tool: hours, Input: {"day":"a]b"}, Result: [1]; Tool: x, Input: {}, Result: ok] نفتح الساعة التاسعة.',
        "نفتح الساعة التاسعة.",
    ),
    "a record without an end": (
        'We open at nine.\n[Tool Call: hours (ID: 1)\nArguments: {"day": "mon"}',
        "We open at nine.",
    ),
    "records between texts": (
        'Sure.\n\n[Tool Call: hours (ID: 1)]\nArguments: {"day": "mon"}\n\n[Tool Result for ID 1]\nnine\n\nWe open at nine.',
        "Sure.\nWe open at nine.",
    ),
    "an object that says nothing": ('{"response": "NO_REPLY", "needsDataCollection": false}', ""),
    "silence, again and again": ("NO_REPLYNO_REPLY", ""),
    "smolagents: another call": ("Thought: I look.\nCode:\n```py\nhours(day='mon')\n```<end_code>", ""),
    "smolagents: lines and quotes": (
        'Thought: a.\nCode:\n```py\nx = 1\nfinal_answer("""We open at "nine".\nAsk.""")\n```',
        'We open at "nine".\nAsk.',
    ),
    "an agent that only hands back": ("Transferring back to supervisor", ""),
    "an object in a fence of one line": (
        'Here: ```json{"response": "We open at nine.", "needsDataCollection": true}``` Bye',
        "We open at nine.",
    ),
    "folded reasoning in Arabic": (
        '<details type="reasoning" done="true" duration="3">\n<summary>فكّر 3 ثوانٍ</summary>\n> يسأل.\n</details>\nنفتح الساعة التاسعة.',
        "نفتح الساعة التاسعة.",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_user_sees_only_the_text(name: str) -> None:
    answer, expected = ANSWERS[name]
    assert extract(answer).text == expected


TEXT = "We open at nine."
FOREIGN_TURNS = (
    *("<|user|>", "<|im_user|>", "<|im_system|>", "<|system|>", "<|message_user|>"),
    *("[|user|]", "[|system|]", "[|tool|]"),
)


def emitted(mark: str) -> str:
    """Return a mark of the table as a model writes it."""
    name = mark.strip("<>/")
    close = mark.startswith("</")
    if name.startswith("open:"):
        return f"<|{'close' if close else 'open'}|>{name.removeprefix('open:')}<|sep|>"
    if name.startswith("dsml:"):
        return f"<{'/' if close else ''}｜DSML｜{name.removeprefix('dsml:')}>"
    if mark.endswith("=>"):
        return f'{mark[:-1]}"hours">'
    return "[gMASK]" if mark == "[gmask]" else mark.upper() if mark.endswith("]") else mark


def pairs(*roles: str) -> Iterator[tuple[str, str]]:
    """Yield the marks that open and close a part in these roles, as models write them."""
    for family in FAMILIES:
        for role in roles:
            yield from ((emitted(opening), emitted(closing)) for opening, closing in getattr(family, role))


def test_no_reasoning_of_the_table_is_shown() -> None:
    for opening, closing in [*WEAK_REASONING, *pairs("reasoning")]:
        assert extract(f"{opening}They ask for hours.{closing}{TEXT}").text == TEXT, opening


def test_no_call_of_the_table_is_shown() -> None:
    for opening, closing in pairs("calls"):
        assert extract(f'{TEXT}\n{opening}{{"name": "hours", "arguments": {{}}}}{closing}').text == TEXT, (
            opening
        )
        assert extract(f"{TEXT}\n{opening}hours(").text == TEXT, opening


def test_what_stands_before_a_marked_answer_is_not_shown() -> None:
    for opening, closing in pairs("answers"):
        assert extract(f"They ask for hours.{opening}{TEXT}{closing}").text == TEXT, opening


def test_what_follows_the_end_of_a_turn_is_not_shown() -> None:
    for family in FAMILIES:
        for mark in family.ends:
            assert extract(f"{TEXT}{emitted(mark)}\nThanks!").text == TEXT, mark
        for mark in family.turns:
            assert extract(f"{TEXT}{emitted(mark)}user\nThanks!").text == TEXT, mark


def test_only_the_assistants_turn_is_shown() -> None:
    for mark in (mark for family in FAMILIES for mark in family.turns):
        expected = "" if mark in FOREIGN_TURNS else TEXT
        assert extract(f"{emitted(mark)}assistant\n{TEXT}").text == expected, mark


def test_no_token_of_the_table_is_shown() -> None:
    for mark in (mark for family in FAMILIES for mark in family.tokens):
        assert extract(f"{emitted(mark)}{TEXT}").text == TEXT, mark


QUOTES_ELSEWHERE = {
    f'{TEXT}<|im_end|>\n<|im_start|>user\n"Thanks"': TEXT,
    'We say "hi" at nine.<|im_end|>': 'We say "hi" at nine.',
    'We say "hi.<|im_end|>': 'We say "hi.',
    "It's nine.<|im_end|> That's it": "It's nine.",
    'He says "yes." <|im_end|> "no"': 'He says "yes."',
    "The dogs' hour.<|im_end|> cats' x": "The dogs' hour.",
    'A 24" screen.<|im_end|> A 12" screen': 'A 24" screen.',
    "«نفتح الساعة التاسعة».<|im_end|>": "«نفتح الساعة التاسعة».",
    "«نفتح<|im_end|>\nنغلق»": "«نفتح",
    f'Here: {{"response": "{TEXT}<|im_end|>", "needsDataCollection": false}}': TEXT,
    f'"response": "{TEXT}<|im_end|>"': TEXT,
    f'{{"response": "{TEXT}<|im_end|>", "needsDataCollection": fal': TEXT,
    '<|channel|>analysis<|message|>They say "hi.<|end|><|start|>assistant<|channel|>final<|message|>He said "yes".<|return|>': 'He said "yes".',
    f"“<think>They ask.</think>{TEXT}”": f"“{TEXT}”",
    '"They <co: 1>open</co: 1> at nine."': '"They open at nine."',
}
"""Answers with quotation marks that do not hold the mark in them, or hold more than one."""


@pytest.mark.parametrize("answer", QUOTES_ELSEWHERE)
def test_a_mark_that_no_quoted_phrase_holds_is_removed(answer: str) -> None:
    assert extract(answer).text == QUOTES_ELSEWHERE[answer]


@pytest.mark.parametrize(
    ("kind", "absence"), [("reasoning", "reasoning"), ("tool_calls", "call"), ("code_interpreter", "call")]
)
def test_folded_text_alone_says_whether_it_is_a_call(kind: str, absence: str) -> None:
    folded = f'<details type="{kind}" done="true"><summary>Tool Executed</summary>9</details>'
    assert extract(folded).absence == absence
