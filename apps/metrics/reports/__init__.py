"""Named reports: each builds query specs, asks the engine, and puts the answers together."""
