"""JSON in the shapes that AIs, flows and APIs answer with, whole and damaged."""

from __future__ import annotations

import pytest

from queue_core.ai.reply import extract

ANSWERS = {
    "n8n: our object in its output": (
        '[{"output": {"response": "We open at nine.", "needsDataCollection": false}}]',
        "We open at nine.",
    ),
    "n8n: output in output, in Portuguese": (
        '{"output": {"output": {"mensagem": "Abrimos às nove."}}}',
        "Abrimos às nove.",
    ),
    "LangGraph: the messages of a run": (
        '{"messages": [{"type": "human", "content": "When?"}, {"type": "ai", "content": "", "tool_calls": [{"name": "hours", "args": {}}]}, {"type": "tool", "content": "9"}, {"type": "ai", "content": "We open at nine."}]}',
        "We open at nine.",
    ),
    "LangGraph: a run that has not finished": (
        '{"run_id": "1ef", "thread_id": "9dd", "assistant_id": "a", "status": "pending", "kwargs": {"input": {"messages": [{"role": "user", "content": "When do you open?"}]}}}',
        "",
    ),
    "Dify: a workflow that failed": (
        '{"task_id": "t", "workflow_run_id": "w", "data": {"id": "w", "status": "failed", "outputs": null, "error": "node failed badly"}}',
        "",
    ),
    "n8n: the flow was started": ('{"message":"Workflow was started"}', ""),
    "nginx: a page": ("<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>x</body></html>", ""),
    "Flowise: a body": (
        '{"text": "We open at nine.", "question": "When?", "chatId": "c", "chatMessageId": "m", "sessionId": "s"}',
        "We open at nine.",
    ),
    "a key in Arabic": ('{"الرد": "نفتح الساعة التاسعة.", "النية": "مواعيد"}', "نفتح الساعة التاسعة."),
    "a key in a language that no table has": ('{"vastaus": "Avaamme yhdeksältä."}', "Avaamme yhdeksältä."),
    "LangChain: the final action after labels": (
        'Thought: I know what to respond\nAction:\n```\n{\n  "action": "Final Answer",\n  "action_input": "We open at nine."\n}\n```',
        "We open at nine.",
    ),
    "LangChain: no tool is needed": (
        "Thought: Do I need to use a tool? No\nAI: We open at nine.",
        "We open at nine.",
    ),
    "Dify: FinalAnswer in one word": (
        "Thought: hours.\nAction: hours\nObservation: 9\nThought: I know.\nFinalAnswer: We open at nine.",
        "We open at nine.",
    ),
    "n8n: a stream, a line for each piece": (
        '{"type":"begin"}\n{"type":"item","content":"We open "}\n{"type":"item","content":"at nine."}\n{"type":"end"}',
        "We open at nine.",
    ),
    "quotes before a comma": (
        '{"response": "Say "nine", and come in.", "needsDataCollection": false}',
        'Say "nine", and come in.',
    ),
    "cut off after a colon": ('{"text":"🌶️ We open at: ', "🌶️ We open at:"),
    "objects list": ('[{"message": "Hello!"}, {"message": "We open at nine."}]', "Hello!\nWe open at nine."),
    "parts": (
        '[{"type": "text", "text": "Hello!"}, {"type": "text", "text": "We open at nine."}]',
        "Hello!\nWe open at nine.",
    ),
    "content parts": (
        '{"content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "We open at nine."}]}',
        "We open at nine.",
    ),
    "openai body": (
        '{"id": "x", "object": "chat.completion", "choices": [{"index": 0, "message": {"role": "assistant", "content": "We open at nine."}, "finish_reason": "stop"}]}',
        "We open at nine.",
    ),
    "responses api": (
        '{"id": "r", "output": [{"type": "reasoning", "summary": []}, {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "We open at nine."}]}]}',
        "We open at nine.",
    ),
    "list in response": (
        '{"response": ["Hello!", "We open at nine."], "needsDataCollection": false}',
        "Hello!\nWe open at nine.",
    ),
    "responses with objects": (
        '{"response": {"text": "We open at nine.", "buttons": ["a", "b"]}}',
        "We open at nine.",
    ),
    "fenced list": ('```json\n["Hello!", "We open at nine."]\n```', "Hello!\nWe open at nine."),
    "json string of list": ('"[\\"Hello!\\", \\"We open at nine.\\"]"', "Hello!\nWe open at nine."),
    "key with capital and space": ('{"Final Answer": "We open at nine."}', "We open at nine."),
    "german": ('{"antwort": "Wir öffnen um neun.", "absicht": "zeiten"}', "Wir öffnen um neun."),
    "french": ('{"réponse": "Nous ouvrons à neuf heures.", "langue": "fr"}', "Nous ouvrons à neuf heures."),
    "russian": ('{"ответ": "Мы открываемся в девять.", "намерение": "часы"}', "Мы открываемся в девять."),
    "arabic messages": (
        '{"الرسائل": ["أهلاً!", "نفتح الساعة التاسعة صباحاً."]}',
        "أهلاً!\nنفتح الساعة التاسعة صباحاً.",
    ),
    "unknown keys two strings": (
        '{"puhe": "Avaamme yhdeksältä aamulla.", "aikomus": "aukiolo"}',
        "Avaamme yhdeksältä aamulla.",
    ),
    "react other action": ('{"action": "hours", "action_input": {"day": "mon"}}', ""),
    "react json fenced": (
        '```json\n{"action": "Final Answer", "action_input": "We open at nine."}\n```',
        "We open at nine.",
    ),
    "react action_input object": (
        '{"action": "Final Answer", "action_input": {"answer": "We open at nine."}}',
        "We open at nine.",
    ),
    "react no final": ('Thought: I need the hours.\nAction: hours\nAction Input: {"day": "mon"}', ""),
    "react bold": ("**Thought:** hm\n**Final Answer:** We open at nine.", "We open at nine."),
    "llamaindex": (
        "Thought: I can answer without using any more tools. I'll use the user's language to answer\nAnswer: We open at nine.",
        "We open at nine.",
    ),
    "text then json then text": (
        'Sure!\n{"reply": "We open at nine."}\nAnything else?',
        "Sure!\nWe open at nine.\nAnything else?",
    ),
    "prose fenced response flags": (
        'Here:\n```json\n{"response": "We open at nine.", "needsDataCollection": false}\n```\nHope it helps!',
        "We open at nine.",
    ),
    "json lines of response": (
        '{"response":"Hello!"}\n{"response":"We open at nine."}',
        "Hello!\nWe open at nine.",
    ),
    "comma separated objects": (
        '{"message":"Hello!"},\n{"message":"We open at nine."}',
        "Hello!\nWe open at nine.",
    ),
    "twice encoded in key": ('{"output": "{\\"response\\": \\"We open at nine.\\"}"}', "We open at nine."),
    "fence in key": (
        '{"output": "```json\\n{\\"response\\": \\"We open at nine.\\"}\\n```"}',
        "We open at nine.",
    ),
    "data prefix stream": (
        'data: {"event":"message","answer":"We"}\n\ndata: {"event":"message","answer":" open"}\n\n',
        "We open",
    ),
    "error body": ('{"error": {"message": "Rate limit reached for gpt-4", "type": "tokens"}}', ""),
    "error message detail": ('{"detail": "Not Found"}', ""),
    "n8n error": (
        '{"code": 404, "message": "The requested webhook is not registered.", "hint": "Click test."}',
        "",
    ),
    "typebot": (
        '{"messages": [{"id": "1", "type": "text", "content": {"type": "richText", "richText": [{"type": "p", "children": [{"text": "We open at nine."}]}]}}], "sessionId": "s"}',
        "We open at nine.",
    ),
    "rasa": ('[{"recipient_id": "1", "text": "We open at nine."}]', "We open at nine."),
    "inner quotes arabic": (
        '{"response": "نسمّيه "العرض الذهبي"، وهو الأفضل", "needsDataCollection": false}',
        'نسمّيه "العرض الذهبي"، وهو الأفضل',
    ),
    "inner quote end": (
        '{"response": "We call it "gold"", "needsDataCollection": false}',
        'We call it "gold"',
    ),
    "inner quotes colon": (
        '{"response": "He said "yes": we open", "needsDataCollection": false}',
        'He said "yes": we open',
    ),
    "newline raw": (
        '{"response": "Hello\n\nWe open at nine.", "needsDataCollection": false}',
        "Hello\n\nWe open at nine.",
    ),
    "guillemets": ('{"response": «We open at nine.», "needsDataCollection": false}', "We open at nine."),
    "missing end": ('{"response": "We open at nine.", "needsDataCollection": fal', "We open at nine."),
    "double braces": ('{{"response": "We open at nine.", "needsDataCollection": false}}', "We open at nine."),
    "extra brace": ('{"response": "We open at nine.", "needsDataCollection": false}}', "We open at nine."),
    "python": (
        "{'response': 'We open at nine.', 'needsDataCollection': False, 'requestedFields': []}",
        "We open at nine.",
    ),
    "tabs/backslash": ('{"response": "C:\\dir and \\_x", "needsDataCollection": false}', "C:\\dir and \\_x"),
    "list quotes": ('["He said "hi" to me", "We open at nine."]', 'He said "hi" to me\nWe open at nine.'),
    "superdav: display_text": ('{"display_text": "We open at nine.", "handoff": null}', "We open at nine."),
    "skyvern: REPLY envelope": (
        '{"type": "REPLY", "user_response": "We open at nine.", "global_llm_context": {"goal": "hours"}}',
        "We open at nine.",
    ),
    "chathub 1356": (
        '{ "action":. "Final Answer", "action_input":. "We open at nine." }',
        "We open at nine.",
    ),
    "n8n agent with think in output": (
        '[{"output": "<think>hm</think>\\n\\nWe open at nine."}]',
        "We open at nine.",
    ),
    "n8n json wrapper": (
        '[{"json": {"output": "We open at nine."}, "pairedItem": {"item": 0}}]',
        "We open at nine.",
    ),
    "langflow": (
        '{"session_id": "s", "outputs": [{"inputs": {"input_value": "When?"}, "outputs": [{"results": {"message": {"text": "We open at nine.", "sender": "Machine"}}, "artifacts": {"message": "We open at nine."}}]}]}',
        "We open at nine.",
    ),
    "voiceflow": (
        '[{"type": "text", "payload": {"message": "We open at nine."}}, {"type": "end"}]',
        "We open at nine.",
    ),
    "cohere api": (
        '{"id": "x", "message": {"role": "assistant", "content": [{"type": "text", "text": "We open at nine."}]}, "finish_reason": "COMPLETE"}',
        "We open at nine.",
    ),
    "ollama": (
        '{"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": {"role": "assistant", "content": "We open at nine."}, "done": true}',
        "We open at nine.",
    ),
    "ollama generate": (
        '{"model": "m", "response": "We open at nine.", "done": true, "context": [1, 2]}',
        "We open at nine.",
    ),
    "anthropic": (
        '{"id": "m", "type": "message", "role": "assistant", "content": [{"type": "text", "text": "We open at nine."}, {"type": "tool_use", "id": "t", "name": "x", "input": {}}], "stop_reason": "tool_use"}',
        "We open at nine.",
    ),
    "bubbles with delay": (
        '{"bubbles": [{"text": "Hello!", "delay": 500}, {"text": "We open at nine.", "delay": 900}]}',
        "Hello!\nWe open at nine.",
    ),
    "messages with type image": (
        '{"messages": [{"type": "text", "text": "We open at nine."}, {"type": "image", "url": "https://a.b/c.png"}]}',
        "We open at nine.",
    ),
    "numbers for keys": ('{"1": "Hello!", "2": "We open at nine."}', "Hello!\nWe open at nine."),
    "keys with numbers": (
        '{"mensagem_1": "Olá!", "mensagem_2": "Abrimos às nove."}',
        "Olá!\nAbrimos às nove.",
    ),
    "responses inside unknown keys": ('{"a": {"response": "Hi"}, "b": {"response": "Ho"}}', ""),
    "response of a function beside the text": (
        '{"parts": [{"function_response": {"name": "f", "response": {"output": "margin 40 %"}}}, {"text": "We open."}]}',
        "We open.",
    ),
    "response of a function": (
        '{"functionResponse": {"name": "f", "response": {"result": "margin 40 %"}}}',
        "",
    ),
    "response inside an error": ('{"data": {"success": false, "upstream": {"response": "Bad gateway"}}}', ""),
    "yaml-like key": ("response: We open at nine.", "response: We open at nine."),
    "xml answer": ("<response><text>We open at nine.</text></response>", "<text>We open at nine.</text>"),
    "json in single backticks": (
        '`{"response": "We open at nine.", "needsDataCollection": false}`',
        "We open at nine.",
    ),
    "json label without fence": (
        'json\n{"response": "We open at nine.", "needsDataCollection": false}',
        "We open at nine.",
    ),
    "four backticks": ('````json\n{"response": "We open at nine."}\n````', "We open at nine."),
    "tilde fence": ('~~~json\n{"response": "We open at nine."}\n~~~', "We open at nine."),
    "letta: missing comma newline": (
        '{"response": "We open at nine."\n"needsDataCollection": false}',
        "We open at nine.",
    ),
    "tencent: german quote": (
        '{"response": "Wir nennen es „Gold" und öffnen um neun.", "needsDataCollection": false}',
        'Wir nennen es „Gold" und öffnen um neun.',
    ),
    "mermaid fence in string": (
        '{"response": "See:\\n```mermaid\\nA : "has"\\n```\\nDone.", "needsDataCollection": false}',
        'See:\n```mermaid\nA : "has"\n```\nDone.',
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_the_user_sees_only_the_text(name: str) -> None:
    answer, expected = ANSWERS[name]
    assert extract(answer).text == expected
