"""Phrases for the AI that replace content other than text, such as "[image]", in the language of a deployment."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, get_args

Language = Literal["en", "ar"]

PHRASES: dict[str, tuple[str, str]] = {
    # Media.
    "image": ("image", "صورة"),
    "video": ("video", "فيديو"),
    "audio": ("audio", "مقطع صوتي"),
    "voice": ("voice message", "رسالة صوتية"),
    "document": ("document", "مستند"),
    "sticker": ("sticker", "ملصق"),
    "sticker pack": ("sticker pack", "حزمة ملصقات"),
    # Things that a user sends.
    "location": ("location", "موقع"),
    "live location": ("live location", "موقع مباشر"),
    "contact": ("contact", "جهة اتصال"),
    "contacts": ("contacts", "جهات اتصال"),
    "reaction": ("reaction", "تفاعل"),
    "poll": ("poll", "استطلاع"),
    "vote": ("voted in a poll", "صوّت في استطلاع"),
    "poll result": ("result of a poll", "نتيجة استطلاع"),
    "event": ("event", "مناسبة"),
    "cancelled event": ("cancelled event", "مناسبة ملغاة"),
    "event answer": ("answered an invitation", "ردّ على دعوة"),
    "order": ("order", "طلب"),
    "product": ("product", "منتج"),
    "form": ("form", "نموذج"),
    "call permission": ("permission to call", "إذن بالاتصال"),
    "group invite": ("invitation to a group", "دعوة إلى مجموعة"),
    "channel invite": ("invitation to a channel", "دعوة إلى قناة"),
    "call": ("planned call", "مكالمة مجدولة"),
    "payment": ("payment", "دفعة"),
    "payment request": ("request for payment", "طلب دفع"),
    "payment declined": ("declined a request for payment", "رفض طلب الدفع"),
    "invoice": ("invoice", "فاتورة"),
    "asks for phone": ("asked for your phone number", "طلب رقم هاتفك"),
    "template": ("message with buttons", "رسالة بأزرار"),
    "comment": ("comment", "تعليق"),
    "chose": ("chose something", "اختار شيئًا"),
    "opened": ("opened the chat", "فتح المحادثة"),
    "answer to status": ("answer to a status post", "ردّ على حالة"),
    "unsupported": ("unsupported message", "رسالة غير مدعومة"),
    "unreadable": ("unreadable message", "رسالة تعذّرت قراءتها"),
    # Changes of earlier messages.
    "edited": ("edited", "عُدّلت رسالة"),
    "edited, unknown": (
        "edited a message; its new text is not known",
        "عدّل رسالة ونصّها الجديد غير معروف",
    ),
    "edited event": ("edited an event", "عدّل مناسبة"),
    "deleted": ("deleted a message", "حذف رسالة"),
    # Things that a message refers to.
    "answers": ("in answer to", "ردًّا على"),
    "from ad": ("from an ad", "من إعلان"),
    "from post": ("from a post", "من منشور"),
    "about product": ("about the product", "عن المنتج"),
    # Parts of the phrases above.
    "seconds": ("%(count)d s", "%(count)d ث"),
    "item": ("1 item", "صنف واحد"),
    "items": ("%(count)d items", "عدد الأصناف %(count)d"),
    "more": ("%(count)d more", "و%(count)d أخرى"),
    "guests": ("plus %(count)d", "ومعه %(count)d"),
    "going": ("going", "سيحضر"),
    "not going": ("not going", "لن يحضر"),
    "maybe": ("maybe", "ربما"),
    "accepted": ("accepted", "قَبِل"),
    "rejected": ("rejected", "رفض"),
}
"""Phrases by code, in English and Arabic."""


class Phrases:
    """Phrases in one language."""

    def __init__(self, language: Language) -> None:
        column = get_args(Language).index(language)
        self._phrases = {code: translations[column] for code, translations in PHRASES.items()}
        self._comma = "، " if language == "ar" else ", "

    def bracketed(self, code: str, detail: str = "", *, extra: str = "") -> str:
        """Return `[phrase: detail]`, `[phrase, extra]` or `[phrase]`."""
        head = self.listed([self._phrases[code], extra])
        return f"[{head}: {detail}]" if detail else f"[{head}]"

    def word(self, code: str) -> str:
        """Return a phrase without brackets."""
        return self._phrases[code]

    def counted(self, code: str, count: int) -> str:
        """Return a phrase with a number."""
        return self._phrases[code] % {"count": count}

    def listed(self, parts: Iterable[str]) -> str:
        """Join the parts that are not empty with the language's comma."""
        return self._comma.join(part for part in parts if part)


ENGLISH: Language = "en"
_BY_LANGUAGE = {language: Phrases(language) for language in get_args(Language)}


def phrases_in(language: Language) -> Phrases:
    """Return the phrases of a language."""
    return _BY_LANGUAGE[language]
