"""Routes of the pages."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.orgs.pages import account, invitations, password, sign_in

urlpatterns: list[URLPattern] = [
    path("", sign_in.root, name="root"),
    path("login", sign_in.sign_in, name="login"),
    path("logout", sign_in.sign_out, name="logout"),
    path("account", account.account, name="account"),
    path("account/organization", account.choose_organization, name="choose-organization"),
    path("account/password", password.change_password, name="change-password"),
    path("admin", sign_in.administration),
    path("invitations/<str:token>", invitations.invitation, name="invitation"),
]
