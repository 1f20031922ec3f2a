"""Pages for people: signing in and out, the account, invitations."""
