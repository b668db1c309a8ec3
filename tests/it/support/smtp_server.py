"""An SMTP server that does as it is told: python3 smtp_server.py '{"port": 2525, ...}'

tls    plain (default), starttls, tls (from the first byte)
cert   the certificate's file, with `key` beside it
login  [user, password]: AUTH is offered, and asked for before MAIL
rcpt   answers to RCPT by the local part of the address ("*" is anybody), one after the other; then 250
data   after a mail was kept: "hang" lets the client wait for ever; then 250

Mails go into the Maildir `mails`. What happens is told on standard output, one line each.
"""

import asyncio
import json
import mailbox
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult

wish = json.loads(sys.argv[1])
rcpt = wish.get("rcpt", {})
data = list(wish.get("data", []))
mails = mailbox.Maildir("mails", create=True)


def tell(*words):
    print(*words, flush=True)


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        answers = rcpt.get(address.split("@")[0], rcpt.get("*", []))
        answer = answers.pop(0) if answers else "250 OK"
        tell("rcpt", answer)
        if answer == "hang":
            await asyncio.sleep(3600)
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server, session, envelope):
        mails.add(envelope.content)
        tell("mail", "tls" if session.ssl or wish.get("tls") == "tls" else "plain", session.authenticated)
        if (data.pop(0) if data else "") == "hang":
            await asyncio.sleep(3600)
        return "250 OK"


def authenticate(server, session, envelope, mechanism, given):
    good = [given.login.decode(), given.password.decode()] == wish["login"]
    tell("login", "good" if good else "bad")
    return AuthResult(success=good, handled=False)


def context():
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    made.load_cert_chain(wish["cert"], wish["key"])
    return made


def session():
    tell("connection")
    starttls = wish.get("tls") == "starttls"
    return SMTP(
        Handler(),
        hostname="mail.example",
        tls_context=context() if starttls else None,
        require_starttls=starttls,
        authenticator=authenticate if "login" in wish else None,
        auth_required="login" in wish,
        auth_require_tls=starttls,
        loop=asyncio.get_running_loop(),
    )


async def serve():
    tls = context() if wish.get("tls") == "tls" else None
    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", wish["port"], ssl=tls)
    tell("ready")
    await server.serve_forever()


asyncio.run(serve())
