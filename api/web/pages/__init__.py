"""The pages: the use cases once more, for people."""

from fastapi import APIRouter

from api.web.pages import datasets, elsewhere, me, monitors, people, records, releases, reviews, sign_in

PAGES: tuple[APIRouter, ...] = (
    sign_in.router,
    elsewhere.router,
    datasets.router,
    releases.router,
    reviews.router,
    monitors.router,
    records.router,
    people.router,
    me.router,
)
