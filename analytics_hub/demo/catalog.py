"""The facts of the demo: models, applications, words. All invented, in proportion to what one sees in practice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """How a model behaves: medians, in seconds and tokens."""

    name: str
    provider: str
    first_token_s: float
    tokens_per_s: float
    cached_share: float = 0.0
    reasoning_share: float = 0.0


GPT_4O = Model("gpt-4o", "openai", 0.45, 85.0, cached_share=0.35)
GPT_4O_MINI = Model("gpt-4o-mini", "openai", 0.32, 120.0, cached_share=0.2)
SONNET = Model("claude-sonnet-4-5", "anthropic", 0.9, 62.0, cached_share=0.6)
FLASH = Model("gemini-2.5-flash", "gcp.gemini", 0.38, 160.0, reasoning_share=0.4)
EMBEDDING = Model("text-embedding-3-small", "openai", 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Application:
    """One service of the demo company."""

    service: str
    kind: str
    team: str
    weight: float
    models: tuple[tuple[Model, float], ...]
    prompt_tokens: int
    completion_tokens: int
    turns: tuple[int, ...]


APPLICATIONS = (
    Application(
        "support-assistant",
        "chat",
        "support",
        0.6,
        ((GPT_4O, 0.45), (GPT_4O_MINI, 0.4), (FLASH, 0.15)),
        prompt_tokens=1800,
        completion_tokens=220,
        turns=(1, 1, 2, 2, 3, 4, 6),
    ),
    Application(
        "coding-agent",
        "agent",
        "platform",
        0.2,
        ((SONNET, 0.8), (GPT_4O, 0.2)),
        prompt_tokens=9000,
        completion_tokens=600,
        turns=(1, 1, 2, 3),
    ),
    Application(
        "document-pipeline",
        "batch",
        "data",
        0.2,
        ((FLASH, 0.7), (GPT_4O_MINI, 0.3)),
        prompt_tokens=5200,
        completion_tokens=350,
        turns=(1,),
    ),
)

ENVIRONMENTS = (("production", 0.8), ("staging", 0.15), ("development", 0.05))
RELEASES = ("2.14.0", "2.14.1", "2.15.0")
USERS = tuple(f"user-{number:03d}" for number in range(1, 81))

# Error type, message, and what share of the failures it has.
FAILURES = (
    ("RateLimitError", "Rate limit reached for requests", 0.4),
    ("APITimeoutError", "Request timed out after 60 s", 0.3),
    ("ContextLengthExceeded", "The input is longer than the model's context", 0.15),
    ("ContentFilterError", "The answer was stopped by the content filter", 0.15),
)
TOOLS = ("search_orders", "read_file", "run_tests", "create_ticket", "query_database")

QUESTIONS = (
    "Where is my order, and when will it arrive?",
    "How do I export last month's invoices?",
    "The nightly import failed with a timeout. What can I do?",
    "Please summarise this contract in five sentences.",
    "Rename the function and fix the tests that break.",
    "Which plan includes single sign-on?",
    "My card was charged twice this week.",
    "Explain the difference between the two reports.",
)
ANSWERS = (
    "It left the warehouse yesterday and should arrive on Thursday.",
    "Open Billing, choose the month, and press Export; the file is ready within a minute.",
    "The import waits for the index build. Raise its timeout, or run it after the build.",
    "The contract runs for two years, renews by itself, and can be ended with three months' notice.",
    "The function is renamed in four files, and all 128 tests pass again.",
    "Single sign-on is part of the Team plan and of every plan above it.",
    "The second charge is a reservation that the bank releases within three days.",
    "The first report counts requests, the second one counts conversations.",
)
