"""Phrases that WhatsApp writes into chat exports, in the languages of phones.

Each line has one language or a few. A missing phrase does little harm, since most notices are recognised by their form.
"""

from __future__ import annotations

import re

EDITED = re.compile(
    r"\s*<(?:This message was edited|Esta mensagem foi editada|Mensagem editada|Se editó este mensaje\.?"
    r"|Este mensaje fue editado\.?|Diese Nachricht wurde bearbeitet\.?|Ce message a été modifié\.?"
    r"|Questo messaggio è stato modificato\.?|Dit bericht is bewerkt\.?|تم تعديل هذه الرسالة\.?|Bu mesaj düzenlendi\.?"
    r"|Pesan ini diedit\.?|Это сообщение изменено\.?|Данное сообщение изменено\.?|यह मैसेज एडिट किया गया।?)>$",
    re.IGNORECASE,
)
"""Notes after an edited text, for exports in which no direction mark stands before them."""

OMITTED = re.compile(
    r"omitted|weggelassen|ausgelassen|ausgeschlossen|omitid[oa]|ocultad[oa]|ocult[oa]\b|revelad[oa]|absente?\b|omise?s?\b"
    r"|manquante?|retirée?\b|omess[oai]|esclus[oa]|non inclus[oa]|weggelaten|utelämnad|udeladt|utelatt|jätettiin pois"
    r"|pominięt[oay]|vynechán[oay]?|vynechan[áýé]|kihagyva|dahil edilmedi|tidak disertakan|hilang\b|отсутствует|пропущен"
    r"|не включ|відсутн[єіяа]|пропущено|παραλείφθηκε|παραλείπ|לא נכלל|הושמט|لم يتم إدراج|تم استبعاد|غير مدرج|تم حذف الملصق"
    r"|حذف شد|含まれていません|省略|略去|忽略|生략|생략|छोड़ा ग|हटाई ग|ไม่มี(?:รูป|ไฟล์|วิดีโอ|สติกเกอร์)|đã bỏ|bỏ qua|omès|omesa"
    r"|outelaten|izostavljen|изпуснат|išleist|izlaist|jäetud välja|fagyott|omis\b",
    re.IGNORECASE,
)
"""Words of placeholders for media that were not exported."""

_KIND_WORDS = {
    "image": r"image|imagen|imagem|immagine|bild|foto|photo|afbeelding|изображ|зображ|görüntü|gambar|obraz|obrázek|صورة|画像|圖|图"
    r"|影像|사진|이미지|फ़ोटो|รูป|hình|תמונה",
    "sticker": r"sticker|figurinha|autocollant|adesivo|стикер|наліпк|çıkartma|stiker|naklejk|nálepk|ملصق|スタンプ|ステッカー|贴图|貼圖"
    r"|스티커|स्टिकर|สติกเกอร์|nhãn dán|מדבקה",
    "audio": r"audio|áudio|ses\b|аудио|аудіо|zvuk|dźwięk|صوتي|音声|音频|語音|오디오|ऑडियो|เสียง|âm thanh|geluid|ljud|lyd",
    "document": r"document|dokument|documento|документ|belge|dokumen|مستند|ドキュメント|文档|文件|문서|डॉक्यूमेंट|เอกสาร|tài liệu|מסמך",
    "contacts": r"contact|kontakt|contatto|contato|контакт|kişi|kontak|جهة اتصال|連絡先|名片|联系人|연락처|कॉन्टैक्ट|ผู้ติดต่อ|liên hệ",
    "video": r"video|vídeo|vidéo|видео|відео|wideo|فيديو|ビデオ|动画|視訊|视频|影片|동영상|비디오|वीडियो|วิดีโอ|gif|סרטון",
}
KINDS = {kind: re.compile(words, re.IGNORECASE) for kind, words in _KIND_WORDS.items()}
"""Words for media by kind; the first kind that matches counts."""

DELETED = re.compile(
    r"(?:this message was deleted|you deleted this message|diese nachricht wurde gelöscht|du hast diese nachricht gelöscht"
    r"|se eliminó este mensaje|este mensaje fue eliminado|eliminaste este mensaje|esta mensagem foi apagada"
    r"|essa mensagem foi apagada|mensagem apagada|você apagou esta mensagem|apagou esta mensagem|eliminou esta mensagem"
    r"|esta mensagem foi eliminada|ce message a été supprimé|vous avez supprimé ce message|questo messaggio è stato eliminato"
    r"|hai eliminato questo messaggio|dit bericht (?:is|werd) verwijderd|u hebt dit bericht verwijderd"
    r"|je hebt dit bericht verwijderd|تم حذف هذه الرسالة|لقد حذَ?فت هذه الرسالة|حذفتَ? هذه الرسالة|این پیام (?:حذف|پاک) شد(?:ه[ \u200c]?است)?"
    r"|bu mesaj silindi|bu mesajı sildiniz|данное сообщение удалено|это сообщение удалено|вы удалили данное сообщение"
    r"|це повідомлення (?:було )?видалено|ви видалили це повідомлення|pesan ini (?:telah )?dihapus|anda (?:telah )?menghapus pesan ini"
    r"|यह मैसेज (?:डिलीट|मिटा).{0,20}|आपने यह मैसेज (?:डिलीट|मिटा).{0,20}|このメッセージは削除されました|このメッセージを削除しました"
    r"|メッセージを削除しました|此訊息已刪除|此消息已删除|您刪除了這則訊息|你删除了这条消息|삭제된 메시지입니다.?|이 메시지를 삭제했습니다"
    r"|wiadomość została usunięta|ta wiadomość została usunięta|usunąłeś\(-aś\) tę wiadomość|usunięto tę wiadomość"
    r"|tato zpráva byla (?:smazána|odstraněna|vymazána)|tuto zprávu jste (?:smazali|odstranili|vymazali)|הודעה זו נמחקה|מחקת הודעה זו"
    r"|meddelandet raderades|du raderade detta meddelande|tin nhắn (?:này )?đã bị xóa|bạn đã xóa tin nhắn này"
    r"|ข้อความนี้ถูกลบ(?:แล้ว)?|คุณลบข้อความนี้(?:แล้ว)?)[\s.!。．]*",
    re.IGNORECASE,
)
"""Bodies of deleted messages."""

ENCRYPTION = re.compile(
    r"end-to-end|ende-zu-ende|ponta a ponta|ponto a ponto|extremo a extremo|bout en bout|crittograf|сквозн|наскрізн|uçtan uca"
    r"|تشفير|مشفر|رمزگذاری|הצפנה|מוצפנ|एन्क्रिप|エンドツーエンド|暗号化|端对端|端對端|종단간|versleuteld|krypter|šifrov|szyfrow"
    r"|titkosít|enkripsi|terenkripsi|mã hóa đầu cuối|เข้ารหัส|κρυπτογραφ|criptat|salataan|এনক্রিপ|એન્ક્રિપ્શન|enkript",
    re.IGNORECASE,
)
"""Words of the notice of encryption."""

CALL = re.compile(
    r"(?:missed (?:voice|video) call|(?:voice|video) call[,.]|verpasster? (?:sprach|video)anruf|chamada de (?:voz|vídeo) perdida"
    r"|ligação de (?:voz|vídeo) perdida|llamada perdida|videollamada perdida|llamada de voz perdida|appel (?:vocal|vidéo) manqué"
    r"|chiamata (?:vocale )?persa|videochiamata persa|gemist (?:spraakoproep|videogesprek)|пропущенный (?:аудио|видео)звонок"
    r"|cevapsız (?:sesli|görüntülü) arama|مكالمة (?:صوتية|فيديو) فائتة|panggilan (?:suara|video) tak terjawab"
    r"|मिस्ड वॉइस कॉल|मिस्ड वीडियो कॉल|不在着信|未接语音通话|未接視訊通話|부재중 (?:음성|영상)통화).{0,40}$",
    re.IGNORECASE,
)
"""Beginnings of notices of calls."""

CONTACT = re.compile(
    r".{1,80} (?:is a contact|ist ein kontakt|es un contacto|é um conta(?:c)?to|est un contact|è un contatto"
    r"|is een contact(?:persoon)?|adalah kontak)\.?",
    re.IGNORECASE,
)
"""Notices that a number is in the phone's address book."""
