"""Answers as public reports and parsers of models show them, written anew, and the text for the user of each."""

from __future__ import annotations

from queue_core.ai.reply import extract

CASES: dict[str, list[tuple[str, str]]] = {
    "AutoGen, is_termination_msg": [
        ("We open at nine. TERMINATE", "We open at nine."),
        ("We open at nine\n\nTERMINATE", "We open at nine"),
        ("TERMINATE", ""),
        ("Press the red button: TERMINATE", "Press the red button: TERMINATE"),
    ],
    "llama.cpp Kimi-K3.jinja": [
        (
            "<|open|>think<|sep|>They want the price: 35.<|close|>think<|sep|><|open|>response<|sep|>The massage costs 35 €.<|close|>response<|sep|><|close|>message<|sep|><|end_of_msg|>",
            "The massage costs 35 €.",
        ),
        (
            '<|open|>response<|sep|><|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool="find_slot" index="1"<|sep|><|open|>argument key="day" type="string"<|sep|>Friday<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|>',
            "",
        ),
    ],
    "llama.cpp Kimi-K3.jinja, generation prompt opens think": [
        (
            "They ask about parking.<|close|>think<|sep|><|open|>response<|sep|>You can park behind the shop.<|close|>response<|sep|>",
            "You can park behind the shop.",
        ),
    ],
    "vLLM, hy_v4": [
        (
            "<think:6124c78e>Look at the stock.</think:6124c78e>Yes, size 42 is in stock.",
            "Yes, size 42 is in stock.",
        ),
        (
            "Let me look.<tool_calls:6124c78e>\n<tool_call:6124c78e>stock<arg_key:6124c78e>size</arg_key:6124c78e><arg_value:6124c78e>42</arg_value:6124c78e></tool_call:6124c78e>\n</tool_calls:6124c78e>",
            "Let me look.",
        ),
    ],
    "vLLM, gigachat35": [
        (
            '<｜GCML｜tool_calls>\n<｜GCML｜invoke name="orders">\n<｜GCML｜parameter name="id" string="true">77</｜GCML｜parameter>\n</｜GCML｜invoke>\n</｜GCML｜tool_calls></s>',
            "",
        ),
    ],
    "vLLM, gigachat3": [
        (
            'Одну минуту.<|message_sep|>\n\nfunction call<|role_sep|>\n{"name": "find_order", "arguments": {"id": 77}}',
            "Одну минуту.",
        ),
        ('function call<|role_sep|>\n{"name": "x", "arguments": {}}<|message_sep|>', ""),
    ],
    "vLLM, muse_glimmer_utils": [
        (
            "to=self<|message|>Refund policy: 14 days.<|eom|><|start|>assistant to=user<|message|>You can return it within 14 days.<|eot|>",
            "You can return it within 14 days.",
        ),
        (
            '<|start|>assistant to=orders.lookup<|message|><atem:function_calls>\n<atem:invoke name="lookup">\n<atem:parameter name="id">5</atem:parameter>\n</atem:invoke>\n</atem:function_calls><|eom|>',
            "",
        ),
    ],
    "sgl-project/sglang inkling_detector": [
        (
            '<|message_model|>get_hours<|content_invoke_tool_json|>{"name":"get_hours","args":{"day":"sun"}}<|end_message|>',
            "",
        ),
    ],
    "vLLM, plamo3": [
        (
            '確認いたします。<|plamo:begin_tool_requests:plamo|><|plamo:begin_tool_request:plamo|><|plamo:begin_tool_name:plamo|>get_menu<|plamo:end_tool_name:plamo|><|plamo:begin_tool_arguments:plamo|>{"lang":"ja"}<|plamo:end_tool_arguments:plamo|><|plamo:end_tool_request:plamo|><|plamo:end_tool_requests:plamo|>',
            "確認いたします。",
        ),
        ("<|plamo:begin_think:plamo|>why<|plamo:end_think:plamo|>はい。", "はい。"),
    ],
    "vLLM, k2_horizon": [
        ("<ifm|think_fast>Opens at 9.</ifm|think_fast>We open at 9.", "We open at 9."),
        (
            "<ifm|tool_calls><ifm|tool_call>book<ifm|arg_key>day</ifm|arg_key><ifm|arg_value>Monday</ifm|arg_value></ifm|tool_call></ifm|tool_calls>",
            "",
        ),
    ],
    "vLLM, cwm": [
        ("<think>Search the questions.</think>\n<tool: search>\nsearch_faq opening hours\n</tool>", ""),
    ],
    "vLLM, hyperclovax_seed_think_14b": [
        (
            "<|im_start|>assistant/think\n고객은 가격을 묻는다.<|im_end|>\n<|im_start|>assistant\n가격은 12,000원입니다.<|im_end|><|endofturn|>",
            "가격은 12,000원입니다.",
        ),
        (
            '확인해 볼게요.<|im_end|>\n<|im_start|>assistant -> tool/function_call\n[{"name": "get_price", "arguments": {"item": "케이크"}}]<|im_end|>',
            "확인해 볼게요.",
        ),
    ],
    "vLLM, apertus": [
        (
            "<|inner_prefix|>Der Kunde will stornieren.<|inner_suffix|>Ihre Bestellung ist storniert.<|assistant_end|>",
            "Ihre Bestellung ist storniert.",
        ),
        ('<|tools_prefix|>[{"cancel": {"id": 3}}]<|tools_suffix|>', ""),
    ],
    "vLLM, solar_open2": [
        (
            "<|tool_call:start|>get_menu\n<|tool_arg:start|>lang<|tool_arg:value|>ko<|tool_arg:end|>\n<|tool_call:end|>",
            "",
        ),
    ],
    "vllm-project/vllm#46042": [
        (
            "<mm:think>The kitchen closes at 22.</mm:think>The kitchen closes at 10 pm.",
            "The kitchen closes at 10 pm.",
        ),
    ],
    "MiniMax-AI/MiniMax-M3#31": [
        (
            'Let me check that for you.]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="read_file">]<]minimax[>[<path>C:\\orders\\main.rs]<]minimax[>[</path>]<]minimax[>[<start_line>130]<]minimax[>[</start_line>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>',
            "Let me check that for you.",
        ),
        (
            'Let me check the table.]<]minimax[>[<tool_call>\n]<]minimax[>[<invoke name="tables">]<]minimax[>[<people>4]<]minimax[>[</people>]<]minimax[>[</invoke>\n]<]minimax[>[</tool_call>',
            "Let me check the table.",
        ),
    ],
    "vllm-project/vllm#39243": [
        (
            '<|tool_call_start|>[get_opening_hours(day="Sunday")]<|tool_call_end|>Let me look up our Sunday hours.',
            "Let me look up our Sunday hours.",
        ),
    ],
    "vLLM, granite": [
        (
            "Here is my thought process:\nThe customer wants a refund.\n\nHere is my response:\nYour refund is on its way.",
            "Your refund is on its way.",
        ),
    ],
    "ibm-granite chat template": [
        (
            "<|start_of_role|>assistant<|end_of_role|>Your parcel arrives on Tuesday.<|end_of_text|>",
            "Your parcel arrives on Tuesday.",
        ),
    ],
    "vLLM, nemotron_json": [
        ('<TOOLCALL>[{"name": "get_balance", "arguments": {"card": "gift"}}]</TOOLCALL>', ""),
    ],
    "vLLM, phi4mini": [
        ('functools[{"name": "find_branch", "arguments": {"city": "Porto"}}]', ""),
    ],
    "NousResearch/hermes-agent#35129": [
        (
            'دعني أتحقق من حالة الطقس.\n<function=get_weather>{"city": "القاهرة"}</function>',
            "دعني أتحقق من حالة الطقس.",
        ),
        ('<function=find_branch>{"city": "Porto"}</function>', ""),
    ],
    "Hermes prompt format": [
        (
            "<scratch_pad>\nGoal: give the price\n</scratch_pad>\nA single room is 59 €.",
            "A single room is 59 €.",
        ),
    ],
    "vLLM, internlm2": [
        ('<|action_start|><|plugin|>{"name": "stock", "parameters": {"sku": "A"}}<|action_end|>', ""),
    ],
    "vLLM, ernie45": [
        ("<think>\n查价格\n</think>\n\n<response>\n这款包售价 399 元。\n</response>", "这款包售价 399 元。"),
    ],
    "vLLM, longcat": [
        ('<longcat_tool_call>{"name": "rate", "arguments": {}}</longcat_tool_call>', ""),
    ],
    "EXAONE chat template": [
        ("<thought>\n고객 요청\n</thought>\n예약이 완료되었습니다.[|endofturn|]", "예약이 완료되었습니다."),
    ],
    "vLLM, step3": [
        (
            '<｜tool_calls_begin｜><｜tool_call_begin｜>function<｜tool_sep｜><steptml:invoke name="find"><steptml:parameter name="q">shoes</steptml:parameter></steptml:invoke><｜tool_call_end｜><｜tool_calls_end｜>',
            "",
        ),
    ],
    "timbal-ai/timbal#163": [
        (
            'Deine Bestellung ist unterwegs. to=functions.track_order 彩票 json\n{"id":"4471"}',
            "Deine Bestellung ist unterwegs.",
        ),
        ('to=multi_tool_use.parallel code\n{"tool_uses":[]}', ""),
    ],
    "NousResearch/hermes-agent#15347": [
        ('to=functions.track_order  (json\n{"id":"4471"}', ""),
    ],
    "mmeyerlein/meclaw#569": [
        (
            "Am Abend kann es regnen. \ue200cite\ue202turn0search0\ue202turn1view2\ue201",
            "Am Abend kann es regnen.",
        ),
    ],
    "lidge-jun/opencodex#3150": [
        (
            "Die Einstellung gibt es\ue200cite\ue202turn0search0\ue202turn1view2\ue201, aber nur im Büro.",
            "Die Einstellung gibt es, aber nur im Büro.",
        ),
    ],
    "BerriAI/litellm#9063": [
        ("<thinking> The address is there. I will use the tool. </thinking>\n\n", ""),
    ],
    "langchain-ai/langchain-aws#783": [
        (
            "<thinking>The table is free.</thinking>\n<response>Your table is booked.</response>",
            "Your table is booked.",
        ),
    ],
    "langgenius/dify#14303": [
        (
            '{"event":"message","answer":"<details style=\\"color:gray;background-color: #f8f8f8;padding: 8px;border-radius: 4px;\\" open> <summary> Thinking... </summary>Der Kunde fragt nach dem Preis.\\n</details>\\n\\nDer Schnitt kostet 25 €.","conversation_id":"c"}',
            "Der Schnitt kostet 25 €.",
        ),
    ],
    "n8n-io/n8n#22771": [
        ('{"output":"Agent stopped due to max iterations."}', ""),
    ],
    "crewAIInc/crewAI#65": [
        ("Agent stopped due to iteration limit or time limit.", ""),
    ],
    "FlowiseAI/Flowise#1933": [
        (
            '{"text":"Ja, wir liefern.","question":"Liefert ihr?","chatId":"1","chatMessageId":"2","sessionId":"1","agentReasoning":[{"agentName":"Support","messages":["Ja, wir liefern."],"usedTools":[null]}],"usedTools":[{"tool":"area","toolOutput":"ok"}]}',
            "Ja, wir liefern.",
        ),
    ],
    "FlowiseAI/Flowise#5592": [
        (
            'message:\ndata:{"event":"metadata","data":{"chatId":"x","question":"hello"}}\n\nmessage\ndata:{"event":"token","data":"Ja, "}\n\nmessage\ndata:{"event":"token","data":"heute bis 18 Uhr."}\n\nmessage\ndata:{"event":"end","data":"[DONE]"}',
            "Ja, heute bis 18 Uhr.",
        ),
        (
            'message:\ndata:{"event":"metadata","data":{"chatId":"x","question":"hello"}}\n\nmessage\ndata:{"event":"end","data":"[DONE]"}',
            "",
        ),
    ],
    "sgomez/ollama-ai-provider#11": [
        (
            '{\n  "name": "weather",\n  "arguments": {\n    "location": "Rome"\n  }\n} {\n  "name": "sights",\n  "arguments": {\n    "city": "Rome"\n  }\n}',
            "",
        ),
    ],
    "Anthropic Messages API": [
        (
            '{"id":"msg_1","type":"message","role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"},{"type":"text","text":"Claro, miro ahora."},{"type":"tool_use","id":"t","name":"stock","input":{"sku":"1"}}],"stop_reason":"tool_use"}',
            "Claro, miro ahora.",
        ),
    ],
    "Bedrock Converse, BerriAI/litellm#9063": [
        (
            '{"metrics":{"latencyMs":682},"output":{"message":{"role":"assistant","content":[{"reasoningContent":{"reasoningText":{"text":"Spain?","signature":"y"}}},{"text":"We ship to Spain."}]}},"stopReason":"end_turn"}',
            "We ship to Spain.",
        ),
    ],
    "Cohere API v2 chat": [
        (
            '{"id":"1","finish_reason":"COMPLETE","message":{"role":"assistant","content":[{"type":"thinking","thinking":"On sait."},{"type":"text","text":"Oui, bien sûr."}]},"usage":{"tokens":{"input_tokens":4}}}',
            "Oui, bien sûr.",
        ),
    ],
    "Gemini API errors": [
        (
            '{"error":{"message":"The model is overloaded. Please try again later.","code":503,"status":"UNAVAILABLE"}}',
            "",
        ),
    ],
    "n8n webhook": [
        ('{"code":0,"message":"Error in workflow"}', ""),
        ('{"code":0,"message":"No item to return was found"}', ""),
    ],
    "lmstudio-ai/lmstudio-bug-tracker#2224": [
        ('[TOOL_CALL]\n{tool => "stock", args => {\n  --sku "A7"\n}}\n[/TOOL_CALL]', ""),
    ],
    "LM Studio default tool format, openclaw/openclaw#87675": [
        ('[TOOL_REQUEST]{"name": "stock", "arguments": {"sku": "A7"}}[END_TOOL_REQUEST]', ""),
    ],
    "vllm-project/vllm#48645": [
        ("Good morning! How can I help you?<｜end▁of▁sentence｜>", "Good morning! How can I help you?"),
    ],
    "vllm-project/vllm#46049": [
        ("The customer greets.<｜end▁of▁thinking｜>Good morning!", "Good morning!"),
    ],
    "vLLM, hy_v3": [
        ("<think:opensource>They ask.</think:opensource>Ok, booked.", "Ok, booked."),
    ],
    "pwilkin/llama.cpp#20": [
        (
            "The user asks about the parcel.<|close|>think<|sep|><|open|>response<|sep|>Hello! Your parcel leaves today.<|close|>response<|sep|><|close|>message<|sep|><|end_of_msg|>",
            "Hello! Your parcel leaves today.",
        ),
        (
            'I will look that up for you.<|close|>response<|sep|><|open|>tools<|sep|><|open|>call tool="get_order" index="1"<|sep|><|open|>argument key="id" type="string"<|sep|>A-17<|close|>argument<|sep|><|close|>call<|sep|><|close|>tools<|sep|><|close|>message<|sep|>',
            "I will look that up for you.",
        ),
    ],
    "NousResearch/hermes-agent#73491": [
        ("<|open|>response<|sep|><|close|>response<|sep|><|close|>message<|sep|>", ""),
    ],
    "sgl-project/sglang#32567": [
        (
            "Both calls returned. Now compare briefly.<|close|>think<|open|>response<|sep|>Here's the comparison: plan A is cheaper.<|close|>response<|sep|><|close|>message<|sep|>",
            "Here's the comparison: plan A is cheaper.",
        ),
    ],
    "can1357/oh-my-pi#8495": [
        (
            'Un momento, consulto tu pedido.\n<|open|>toolscall tool="lookup" index="1"<|sep|><|open|>argument key="path" type="string"<|sep|>src/rendererargument<|sep|><|close|>call<|sep|><|close|>toolstoolsmessage<|sep|>',
            "Un momento, consulto tu pedido.",
        ),
    ],
    "vllm-project/vllm#50367": [
        (
            "The user wants me to say hello.<|close|> think <|sep|> <|open|> response <|sep|>مرحباً! كيف أساعدك؟<|close|> response <|sep|>",
            "مرحباً! كيف أساعدك؟",
        ),
    ],
    "Augustas11/macprovider#743": [
        (
            'analysisWe need to answer "When does it ship?". The answer is Friday. We should output only that.assistantfinalYour order ships Friday.',
            "Your order ships Friday.",
        ),
    ],
    "NVIDIA/TensorRT-LLM#9256": [
        (
            '<|channel|>commentary<|message|>{\n  "path": "/",\n  "name_pattern": "*Chen*",\n  "type_filter": "file"\n}<|end|>',
            "",
        ),
    ],
    "lijunzh/koda#491": [
        (
            "Le rendez-vous est confirm\u00e9 pour mardi.\ns\u115fthought\nCRITICAL INSTRUCTION 1: I may have access to a variety of tools at my disposal. Some tools may be generic.\nCRITICAL INSTRUCTION 2: Related tools: none.",
            "Le rendez-vous est confirmé pour mardi.",
        ),
    ],
    "openclaw/openclaw#61350": [
        (
            "...94>thought CRITICAL INSTRUCTION 1: I may have access to a variety of tools. I must prefer the specific one.",
            "",
        ),
        ("...94>thought\nCRITICAL INSTRUCTION 1: prefer the specific tool.", ""),
    ],
    "Blaizzy/mlx-vlm#899": [
        ("<|channel>\nThe user is asking what 2+2 is. This is straightforward.\n<channel|>\n4", "4"),
    ],
    "attevon-llc/OpenTranscribe#439": [
        (
            'The user is asking what the team decided about the buttons. I need to search the excerpts.\n\n1.  **Scan excerpts for "button":**\n    *   Excerpt [1]: no decisions.\n<channel|>I do not have enough information about that.',
            "I do not have enough information about that.",
        ),
    ],
    "ollama/ollama#17459": [
        ("<unused49>\n<unused49>\n<unused49>\n<unused49>", ""),
    ],
    "anthropics/claude-code#77061": [
        (
            'Let me check your booking.\n\ncount\n<invoke name="get_booking">\n<parameter name="id">77</parameter>\n<parameter name="description">Read the booking</parameter>\n</invoke>',
            "Let me check your booking.",
        ),
    ],
    "stdapi-ai/stdapi.ai#182": [
        ("I will check your order now.\n\n<｜DSML｜function_calls", "I will check your order now."),
    ],
    "lsdefine/GenericAgent#804": [
        (
            'سأتحقق من طلبك الآن.\n<‖DSML‖tool_calls>\n<‖DSML‖invoke name="get_order">\n<‖DSML‖parameter name="id" string="true">A-17</‖DSML‖parameter>\n</‖DSML‖invoke>\n</‖DSML‖tool_calls>',
            "سأتحقق من طلبك الآن.",
        ),
    ],
    "sgl-project/sglang#40236": [
        (
            '<｜｜DSML｜｜invoke name="get_order">\n<｜｜DSML｜｜parameter name="id" string="true">A-17</｜｜DSML｜｜parameter>\n</｜｜DSML｜｜invoke>',
            "",
        ),
    ],
    "vercel/ai#7078": [
        (
            "<thinking>El usuario ha saludado y parece querer un turno. Preguntaré por la disponibilidad.</thinking>\nHola! Todo bien, gracias. ¿Querés agendar un turno?",
            "Hola! Todo bien, gracias. ¿Querés agendar un turno?",
        ),
    ],
    "rynfar/meridian#94": [
        (
            'Checking the stock.\n\n[Tool Use: bash({"command": "ls -la", "description": "List files"})]',
            "Checking the stock.",
        ),
    ],
    "bytedance/deer-flow#2840": [
        (
            '[Called tool multi_tool_use.parallel with arguments:\n  {"tool_uses":[{"recipient_name":"functions.get_order","parameters":{"id":"A-17"}}]}]',
            "",
        ),
    ],
    "zeroclaw-labs/zeroclaw#10446": [
        (
            'Voy a revisar tu saldo.\n\n{"content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"get_balance","arguments":"{\\"name\\":\\"it\\\'s me\\"}"}}]}\n\nTu saldo es de 20 €.',
            "Voy a revisar tu saldo.\n\nTu saldo es de 20 €.",
        ),
        (
            'One moment.\n{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"x","arguments":"{}"}}]}',
            "One moment.",
        ),
    ],
    "NousResearch/hermes-agent#87900": [
        (
            '{"name": "get_time", "arguments": {}}\n{"name": "get_weather", "arguments": {"city": "Cairo"}}',
            "",
        ),
        ('One moment.\n{"name": "get_order", "arguments": {"id": "A-1",}}\nDone.', "One moment.\nDone."),
        ("One moment.\n{'name': 'get_order', 'arguments': {'id': 1}}", "One moment."),
        ('One moment.\n{"name": "get_order", "arguments": {"id": "A-1', "One moment."),
    ],
    "signalnine/q27#24": [
        (
            "<name>task\n</parameter>\n<parameter=description>\nAdd a comment\n</parameter>\n<parameter=prompt>\nAdd it to hello.py\n</parameter>\n</function>",
            "",
        ),
    ],
    "langchain-ai/langchain#5870": [
        (
            'Thought:The tool has returned the refund. Now I need to tell the user.\nAction:\n```\n{\n  "action": "Final Answer",\n  "action_input": "Your refund was sent."\n}\n```',
            "Your refund was sent.",
        ),
    ],
    "crewAIInc/crewAI#2237": [
        (
            "Action: Name of my tool\nAction Input: {'argument': {'description': 'Description of the argument.', 'type': 'str'}}\nTool Name: Research\nTool Arguments: {'argument': {'type': 'str'}}\nTool Description: This tool is used to perform research.\nObservation: The tool has been activated and is ready to use.\nThought: Now that I have performed the action, I can give the final answer.\nFinal Answer: Los planes son:\n1. Básico\n2. Pro",
            "Los planes son:\n1. Básico\n2. Pro",
        ),
    ],
    "n8n-io/n8n#18006": [
        (
            '[{"output":{"message":"مرحباً! طلبك جاهز للاستلام.","intent":"pickup"}}]',
            "مرحباً! طلبك جاهز للاستلام.",
        ),
    ],
    "Gitlawb/openclaude#779": [
        (
            "<REASONING_SCRATCHPAD>\nThe user wants to cancel. The policy allows it.\n</REASONING_SCRATCHPAD>\nDone, your booking is cancelled.",
            "Done, your booking is cancelled.",
        ),
    ],
    "harshitethic/whatsapp-turbo-gpt#1": [
        (
            "Error: Request failed with status code 429\n    at createError (/app/node_modules/axios/lib/core/createError.js:16:15)\n    at settle (/app/node_modules/axios/lib/core/settle.js:17:12)\n    at IncomingMessage.handleStreamEnd (/app/node_modules/axios/lib/adapters/http.js:322:11)",
            "",
        ),
    ],
    "modelcontextprotocol/quickstart-resources, mcp-client-python": [
        ('[Calling tool opening_hours with args {"day": "mon"}]\nWe open at nine.', "We open at nine."),
        (
            "One moment.\n[Calling tool: opening_hours] with args {'day': 'mon'}\nWe open at nine.",
            "One moment.\nWe open at nine.",
        ),
    ],
    "records of calls in transcripts of several bridges": [
        (
            "Hello.\n[tool use: read_hours (id: 5)]\n[tool result: nine to five]\nWe open at nine.",
            "Hello.\nWe open at nine.",
        ),
        ("[Called tool: hours]", ""),
        ("[called tools: hours, prices]\nWe open at nine.", "We open at nine."),
        ('[TOOL USE: hours]\nInput: {"day": "mon"}\nWe open at nine.', "We open at nine."),
    ],
    "prompts that ask for reasoning in tags of their own": [
        ("<inner_thinking>They ask for hours.</inner_thinking>We open at nine.", "We open at nine."),
        (
            "<internal_reasoning>They ask for hours.</internal_reasoning>\n\nWe open at nine.",
            "We open at nine.",
        ),
        (
            "<thinking_scratchpad>They ask for hours.</thinking_scratchpad>We open at nine.",
            "We open at nine.",
        ),
    ],
    "errors of the clients of AIs, sent as the answer": [
        ("AxiosError: Request failed with status code 503", ""),
        (
            "Error code: 429 - {'error': {'message': 'Rate limit reached', 'type': 'requests', 'code': 'rate_limit_exceeded'}}",
            "",
        ),
        (
            "openai.RateLimitError: Error code: 429 - {'error': {'message': 'You exceeded your current quota'}}",
            "",
        ),
        ("litellm.ServiceUnavailableError: AnthropicException - Overloaded", ""),
        ('529 {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', ""),
        ("429 RESOURCE_EXHAUSTED. {'error': {'code': 429, 'message': 'Quota exceeded'}}", ""),
        ("429 You exceeded your current quota, please check your plan and billing details.", ""),
        (
            "[GoogleGenerativeAI Error]: Error fetching from https://a.example: [503 Service Unavailable] Overloaded",
            "",
        ),
        (
            "Traceback (most recent call last):\n  File \"bot.py\", line 5, in <module>\n    main()\nKeyError: 'hours'",
            "",
        ),
        (
            "TypeError: Cannot read properties of undefined (reading 'hours')\n    at run (/app/bot.js:5:11)\n    at async main (/app/bot.js:9:3) {\n  code: 'E1'\n}",
            "",
        ),
        (
            "java.lang.NullPointerException\n\tat com.a.Bot.run(Bot.java:5)\n\tat com.a.Bot.main(Bot.java:9)",
            "",
        ),
    ],
    "LangGraph, create_react_agent": [
        ("Sorry, need more steps to process this request.", ""),
    ],
}
"""Source of each report, with answers and the text of each; "" for an answer that has none."""


def test_the_text_for_the_user_of_each_report() -> None:
    wrong = {
        (source, answer): shown
        for source, cases in CASES.items()
        for answer, text in cases
        if (shown := extract(answer).text) != text
    }
    assert wrong == {}


def test_an_answer_without_a_text_has_a_reason() -> None:
    silent = [answer for cases in CASES.values() for answer, text in cases if not text]
    assert [answer for answer in silent if extract(answer).absence is None] == []
    assert extract('{"output": "Agent stopped due to max iterations."}').absence == "stopped"
