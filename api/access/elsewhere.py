"""Signing in with an identity provider: OpenID Connect Core 1.0, by authorization code with PKCE (RFC 7636).

A browser is sent to the provider with a state and a nonce that only its own errand knows, and comes back with a code.
The code is exchanged from here, and the ID token it brings must be signed by the provider for this service, for this
very errand, and be fresh. Where it was issued is compared at every step (RFC 9207), so that an answer of one provider
never passes for another's. Nothing of a token is kept, and nothing a provider says is repeated.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx2
from authlib.integrations.base_client import OAuthError
from authlib.integrations.httpx_client import OAuth2Client
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from sqlalchemy import delete
from sqlalchemy.orm import Session

from api.settings import Settings, is_guarded
from api.store.identity import digest_of, new_token, now, text_of
from api.store.tables import Errand
from privacy.errors import ReleaseError

ANSWER: Final = "/sign-in/answer"
"""Where the provider sends browsers back to, below the public address."""

METADATA: Final = "/.well-known/openid-configuration"
SIGNED_BY: Final = ("RS256", "PS256", "ES256", "ES384", "EdDSA", "Ed25519")
"""Signatures that are believed. `none`, and keys that both sides share, are not among them."""

ERRAND_MINUTES: Final = 10
LEEWAY_SECONDS: Final = 30
TIMEOUT_SECONDS: Final = 10.0


class ProviderError(ReleaseError):
    """The identity provider did not answer as the standard says, or what it answered does not fit the errand."""

    code = "provider"
    title = "Signing in elsewhere failed"


@dataclass(frozen=True, slots=True)
class Known:
    """Somebody whom the provider vouches for.

    Attributes:
        issuer: the provider.
        subject: its name for them, which never passes to another.
        name: what the configured claim says, as an administrator enters people; empty where it says nothing reliable.
    """

    issuer: str
    subject: str
    name: str


@dataclass(frozen=True, slots=True)
class Provider:
    """The identity provider of an installation.

    Attributes:
        issuer: its address.
        client_id, client_secret: what this service is known by there.
        answer_url: where browsers come back to; registered there.
        claim: which claim is somebody's name here.
    """

    issuer: str
    client_id: str
    client_secret: str = field(repr=False)
    answer_url: str
    claim: str

    def send(self, state: str, nonce: str, verifier: str) -> str:
        """The address a browser is sent to. Raises ProviderError."""
        with self._client() as client:
            endpoint = _endpoint(self._metadata(client), "authorization_endpoint")
            address, _ = client.create_authorization_url(endpoint, state=state, nonce=nonce, code_verifier=verifier)
            return str(address)

    def answered(self, code: str, issuer: str, nonce: str, verifier: str) -> Known:
        """Who somebody is, by the code their browser came back with.

        Args:
            code: of the answer.
            issuer: of the answer; empty where it names none.
            nonce: of the errand.
            verifier: of the errand, as PKCE has it.

        Raises:
            ProviderError: anything of the answer does not fit.
        """
        with self._client() as client:
            metadata = self._metadata(client)
            named = issuer or not metadata.get("authorization_response_iss_parameter_supported", False)
            if not named or (issuer and issuer != self.issuer):
                raise _misfit()
            try:
                token = client.fetch_token(
                    _endpoint(metadata, "token_endpoint"),
                    code=code,
                    code_verifier=verifier,
                    grant_type="authorization_code",
                )
                keys = KeySet.import_key_set(client.get(_endpoint(metadata, "jwks_uri"), auth=None).json())
                claims = self._claims(str(token.get("id_token", "")), keys, nonce)
                if self.claim not in claims and "userinfo_endpoint" in metadata:
                    further = client.get(_endpoint(metadata, "userinfo_endpoint")).json()
                    if further.get("sub") != claims["sub"]:
                        raise _misfit()
                    claims = {**further, **claims}
            except (httpx2.HTTPError, OAuthError, JoseError, ValueError, KeyError, TypeError, AttributeError) as error:
                raise _misfit() from error
        return Known(self.issuer, str(claims["sub"]), _name(claims, self.claim))

    def _client(self) -> OAuth2Client:
        return OAuth2Client(
            self.client_id,
            self.client_secret,
            scope="openid email profile",
            redirect_uri=self.answer_url,
            code_challenge_method="S256",
            timeout=TIMEOUT_SECONDS,
            follow_redirects=False,
        )

    def _metadata(self, client: OAuth2Client) -> Mapping[str, Any]:
        """What the provider says of itself, once it says so of the very address we were told."""
        try:
            answer = client.get(self.issuer.rstrip("/") + METADATA, auth=None)
            metadata: Mapping[str, Any] = answer.json()
        except (httpx2.HTTPError, ValueError) as error:
            raise _misfit() from error
        if answer.status_code != 200 or not isinstance(metadata, dict) or metadata.get("issuer") != self.issuer:
            raise _misfit()
        return metadata

    def _claims(self, token: str, keys: KeySet, nonce: str) -> dict[str, Any]:
        claims = jwt.decode(token, keys, algorithms=list(SIGNED_BY)).claims
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.issuer},
            aud={"essential": True, "value": self.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        registry.validate(claims)
        others = claims["aud"] != self.client_id and claims["aud"] != [self.client_id]
        if others and claims.get("azp") != self.client_id:
            raise _misfit()
        return dict(claims)


def provider_of(settings: Settings) -> Provider | None:
    """The installation's provider; None where people sign in here alone."""
    if not settings.oidc_issuer:
        return None
    return Provider(
        issuer=settings.oidc_issuer,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_secret,
        answer_url=settings.public_url.rstrip("/") + ANSWER,
        claim=settings.oidc_claim,
    )


def begin_errand(session: Session, target: str) -> tuple[str, Errand]:
    """Remember a browser that is sent away, for ten minutes; the token for its cookie."""
    session.execute(delete(Errand).where(Errand.expires_at <= now()))
    token, ends = new_token(), text_of(datetime.now(UTC) + timedelta(minutes=ERRAND_MINUTES))
    made = Errand(
        digest=digest_of(token),
        state=new_token(),
        nonce=new_token(),
        verifier=new_token(),
        target=target,
        expires_at=ends,
    )
    session.add(made)
    return token, made


def end_errand(session: Session, token: str, state: str) -> Errand | None:
    """The errand a browser comes back from, which ends with this; None where it is none of its own."""
    found = session.get(Errand, digest_of(token))
    if found is None:
        return None
    session.delete(found)
    fits = hmac.compare_digest(found.state.encode(), state.encode()) and found.expires_at > now()
    return found if fits else None


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    found = str(metadata.get(name, ""))
    if not is_guarded(found):
        raise _misfit()
    return found


def _name(claims: Mapping[str, Any], claim: str) -> str:
    """An address that the provider has not verified may be anybody's, and is no name."""
    reliable = claim != "email" or claims.get("email_verified") is True
    return str(claims.get(claim, "")).strip() if reliable else ""


def _misfit() -> ProviderError:
    return ProviderError(
        "The identity provider could not be reached, or its answer does not fit.",
        why="Only an answer that is signed, fresh and meant for this very sign-in lets somebody in.",
        fix="Try again; if it stays so, an administrator compares TABLEGATE_OIDC_... and TABLEGATE_PUBLIC_URL with the "
        "provider.",
    )
