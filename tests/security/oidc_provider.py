"""A small OpenID Connect provider for the sign-in test: authorization code flow, RS256, no consent screen.

``python tests/security/oidc_provider.py PORT``. Who signs in is set by ``POST /become`` with ``{"sub", "roles"}``.
"""

import secrets
import sys
import time

import uvicorn
from joserfc import jwt
from joserfc.jwk import RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

KEY = RSAKey.generate_key(2048, parameters={"kid": "test"})
user: dict = {"sub": "nobody", "roles": []}
codes: dict[str, dict] = {}


def issuer(request: Request) -> str:
    return str(request.base_url).rstrip("/")


def metadata(request: Request) -> JSONResponse:
    base = issuer(request)
    return JSONResponse(
        {
            "issuer": base,
            "authorization_endpoint": f"{base}/authorize",
            "token_endpoint": f"{base}/token",
            "jwks_uri": f"{base}/jwks",
            "userinfo_endpoint": f"{base}/userinfo",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
        }
    )


def authorize(request: Request) -> Response:
    query = request.query_params
    code = secrets.token_urlsafe(16)
    codes[code] = {**user, "nonce": query.get("nonce"), "aud": query["client_id"]}
    return RedirectResponse(f"{query['redirect_uri']}?code={code}&state={query['state']}", status_code=302)


async def token(request: Request) -> Response:
    form = await request.form()
    granted = codes.pop(str(form["code"]), None)
    if granted is None:
        return JSONResponse({"error": "invalid_grant"}, status_code=400)
    now = int(time.time())
    claims = {
        **granted,
        "iss": issuer(request),
        "iat": now,
        "exp": now + 600,
        "email": f"{granted['sub']}@example.org",
    }
    identity = jwt.encode({"alg": "RS256", "kid": "test"}, claims, KEY)
    return JSONResponse(
        {"access_token": secrets.token_hex(8), "token_type": "Bearer", "expires_in": 600, "id_token": identity}
    )


async def become(request: Request) -> Response:
    user.clear()
    user.update(await request.json())
    return JSONResponse(user)


def jwks(request: Request) -> JSONResponse:
    return JSONResponse({"keys": [KEY.as_dict(private=False)]})


app = Starlette(
    routes=[
        Route("/.well-known/openid-configuration", metadata),
        Route("/authorize", authorize),
        Route("/token", token, methods=["POST"]),
        Route("/become", become, methods=["POST"]),
        Route("/jwks", jwks),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
