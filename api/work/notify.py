"""Telling people: a notice in the service, and by mail and webhook where the installation has them."""

from __future__ import annotations

import json
import smtplib
from email.message import EmailMessage
from urllib.parse import unquote, urlsplit
from urllib.request import Request, urlopen

from api.desk.desk import Desk
from api.settings import Settings
from api.store.database import reading
from api.store.tables import Notice, Person

SECONDS = 10


def notify(desk: Desk, notice: str) -> None:
    """Send a notice. Raises OSError where a server does not take it; it is then sent again."""
    with reading(desk.engine) as session:
        found = session.get_one(Notice, notice)
        person = session.get_one(Person, found.person).name
    if desk.settings.webhook:
        post(desk.settings.webhook, {"id": found.id, "person": person, "release": found.release, "text": found.text})
    if desk.settings.mail and "@" in person:
        mail(desk.settings, person, found.text)


def post(url: str, body: dict[str, str]) -> None:
    """POST a JSON object. Raises OSError, and ValueError for an address that is not of the web."""
    if urlsplit(url).scheme not in ("https", "http"):
        raise ValueError("a webhook is an http or https address")
    headers = {"Content-Type": "application/json"}
    request = Request(url, json.dumps(body).encode(), headers, method="POST")  # noqa: S310 (its scheme was checked)
    with urlopen(request, timeout=SECONDS):  # noqa: S310 (likewise)
        pass


def mail(settings: Settings, person: str, text: str) -> None:
    """Mail a text. Raises OSError (of which smtplib's errors are)."""
    server = urlsplit(settings.mail)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = server.path.strip("/"), person, "Tablegate"
    message.set_content(text)
    with smtplib.SMTP(server.hostname or "localhost", server.port or 25, timeout=SECONDS) as smtp:
        if server.username:
            smtp.starttls()
            smtp.login(unquote(server.username), unquote(server.password or ""))
        smtp.send_message(message)
