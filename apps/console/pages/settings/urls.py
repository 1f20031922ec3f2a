"""The addresses of settings."""

from __future__ import annotations

from django.urls import URLPattern, path

from apps.console.pages.settings import audit, budgets, keys, members, organization, prices, reprice

urlpatterns: list[URLPattern] = [
    path("settings", organization.settings, name="settings"),
    path("settings/organization", organization.organization, name="settings-organization"),
    path("settings/new-project", organization.new_project, name="settings-new-project"),
    path("settings/projects/<str:slug>", organization.project, name="settings-project"),
    path("settings/members", members.members, name="settings-members"),
    path("settings/members/<int:number>", members.member, name="settings-member"),
    path("settings/members/<int:number>/remove", members.remove_member, name="settings-member-remove"),
    path("settings/invitations/new", members.invite, name="settings-invite"),
    path("settings/invitations/<int:number>/revoke", members.revoke_invitation, name="settings-invitation-revoke"),
    path("settings/keys", keys.keys, name="settings-keys"),
    path("settings/keys/new", keys.new_key, name="settings-key-new"),
    path("settings/keys/<int:number>", keys.key, name="settings-key"),
    path("settings/keys/<int:number>/rotate", keys.rotate_key, name="settings-key-rotate"),
    path("settings/keys/<int:number>/revoke", keys.revoke_key, name="settings-key-revoke"),
    path("settings/prices", prices.prices, name="settings-prices"),
    path("settings/prices/new", prices.new_price, name="settings-price-new"),
    path("settings/prices/<int:number>", prices.price, name="settings-price"),
    path("settings/prices/<int:number>/end", prices.end_price, name="settings-price-end"),
    path("settings/prices/reprice", reprice.repricings, name="settings-repricings"),
    path("settings/prices/reprice/<int:number>", reprice.repricing, name="settings-repricing"),
    path("settings/prices/reprice/<int:number>/apply", reprice.apply_repricing, name="settings-reprice-apply"),
    path("settings/prices/reprice/<int:number>/undo", reprice.undo_repricing, name="settings-reprice-undo"),
    path("settings/budgets", budgets.budgets, name="settings-budgets"),
    path("settings/budgets/new", budgets.new_budget, name="settings-budget-new"),
    path("settings/budgets/<int:number>", budgets.budget, name="settings-budget"),
    path("settings/budgets/<int:number>/state", budgets.budget_state, name="settings-budget-state"),
    path("settings/budgets/<int:number>/delete", budgets.delete_budget, name="settings-budget-delete"),
    path("settings/audit", audit.audit, name="settings-audit"),
]
