from __future__ import annotations

from django.apps import AppConfig


class OrgsConfig(AppConfig):
    name = "apps.orgs"
    label = "orgs"
    verbose_name = "Tenants"

    def ready(self) -> None:
        from apps.common.edge import exceptions
        from apps.orgs import openapi  # noqa: F401  # registers the authentication scheme
        from apps.orgs.audit import refusal

        exceptions.on_denial.append(refusal)
