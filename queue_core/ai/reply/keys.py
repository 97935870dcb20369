"""Keys in the JSON answers of AIs and flows, in their plain form: lower case, without `_`, `-` and spaces."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


OUR_KEYS = {
    "response": "response",
    "needsdatacollection": "needsDataCollection",
    "requestedfields": "requestedFields",
}
"""Documented keys of an answer, by their plain form."""

TEXT_KEYS = _words(
    """
    response finalanswer answer reply finalresponse outputtext responsetext text message output content
    messages replies responses answers texts bubbles parts finaloutput responsemessage replytext botresponse
    botmessage assistant generatedtext completion caption resposta respostas mensagem mensagens texto textos
    respuesta respuestas mensaje mensajes réponse reponse réponses texte risposta messaggio messaggi testo
    antwort nachricht nachrichten antwoord bericht yanıt yanit cevap mesaj metin jawaban balasan pesan الرد رد
    الردود الإجابة الاجابة إجابة اجابة الجواب جواب الرسالة رسالة رسائل الرسائل النص نص پاسخ پیام متن תשובה
    הודעה ответ сообщение текст відповідь повідомлення उत्तर जवाब संदेश
    回答 回复 回覆 答案 答复 消息 文本 内容 返信 返答 応答 メッセージ
    답변 응답 메시지 trảlời tinnhắn คำตอบ ข้อความ
    """
)
"""Keys of the text for the user, in the order in which they are searched for."""

LOOSE_TEXT_KEYS = frozenset(
    _words(
        """
    text message messages content assistant caption parts mensaje mensagem
    """
    )
)
"""Keys that may have the text of an answer or of an error."""

CONTAINER_KEYS = _words(
    """
    json body data result results outputs choices candidates generations delta payload kwargs item items value
    return returnvalues artifacts richtext children resultado
    """
)
"""Keys around the object with the text, in the order in which they are searched for."""

HIDDEN_KEYS = frozenset(
    _words(
        """
    thought thoughts thinking think reasoning reasoningcontent analysis plan scratchpad reflection rationale
    chainofthought internal internalnote internalnotes notes criticism pensamiento pensamento razonamiento
    raciocinio raciocínio التفكير تفكير
    """
    )
)
"""Keys of texts that are not for the user, such as reasoning."""

META_KEYS = frozenset(
    _words(
        """
    intent intencion intención intencao intenção intents action acción accion ação acao confidence score
    language lang idioma locale sentiment emotion mood tone topic category stage step state nextstep handoff
    escalate priority tags sources citations النية اللغة المشاعر stoppingreason finishreason done isfinal
    final
    """
    )
)
"""Keys beside a text which show that the object is an answer and not an example of JSON."""

TECHNICAL_KEYS = frozenset(
    _words(
        """
    id uuid type role name status code statuscode object model created createdat url timestamp time date
    version event mode taskid runid threadid workflowrunid workflowid conversationid messageid sessionid
    userid requestid executionid chatid finishreason tool toolname function arguments parameters args
    toolcalls usage metadata systemfingerprint hint stacktrace path method assistantid processor queue label
    key instance phone input inputs query question prompt config intermediatesteps log logs createdby error
    errors errormessage exception traceback detail details reason
    """
    )
)
"""Keys whose strings are not for people."""

FINAL_ACTIONS = frozenset(
    _words(
        """
    finalanswer final answer respond reply response respondtouser replytouser sendmessage sendreply
    finalresponse sayto say respuestafinal respostafinal réponsefinale finish الإجابةالنهائية الاجابةالنهائية
    الجوابالنهائي
    """
    )
)
"""Names of actions whose input is the answer."""

HIDDEN_TYPES = frozenset(
    _words(
        """
    thinking reasoning redactedthinking thought tooluse toolcall toolcalls functioncall toolresult
    functioncalloutput servertooluse functionresponse websearchcall filesearchcall image imageurl human user
    system tool developer function refusalreason humanmessage systemmessage toolmessage noreply
    """
    )
)
"""Values of `type` and `role` of parts that are not text for the user."""

STREAM_TYPES = frozenset(
    _words(
        """
    item delta chunk token contentblockdelta textdelta agentmessage
    """
    )
)
"""Values of `type` and `event` of pieces of one text."""

USER_ROLES = frozenset(("user", "human", "humanmessage", "usermessage"))


def plain(key: object) -> str:
    """Return a key in lower case, without `_`, `-` and spaces."""
    if not isinstance(key, str):
        return ""
    if key.isascii() and key.isalnum():  # most keys: this is much faster
        return key.lower()
    return "".join(key.split()).replace("_", "").replace("-", "").casefold()
