"""The pages: the use cases once more, for people."""

from fastapi import APIRouter

from api.web.pages import me, people, sign_in

PAGES: tuple[APIRouter, ...] = (sign_in.router, me.router, people.router)
