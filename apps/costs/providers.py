"""Provider names: the many that senders use, and the one that we keep.

Kept is the name that the OpenTelemetry conventions list today; a name they do not know is kept in lower case.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Canonical name: (name in the price list, other names for it). Compared in lower case, hyphens and spaces as "_".
_PROVIDERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "openai": ("openai", ("open_ai", "openai_chat", "openai_responses", "openai_completions")),
    "anthropic": ("anthropic", ("claude",)),
    "azure.ai.openai": (
        "azure",
        ("azure", "az.ai.openai", "azure_openai", "azureopenai", "azure_open_ai", "microsoft"),
    ),
    "azure.ai.inference": ("azure", ("az.ai.inference", "azure_ai", "azure_ai_inference", "azure_ai_foundry")),
    "aws.bedrock": ("aws", ("aws", "amazon", "bedrock", "aws_bedrock", "amazon_bedrock", "bedrock_converse")),
    "gcp.vertex_ai": (
        "google",
        ("vertex_ai", "vertexai", "vertex", "google_vertex", "google_vertexai", "gcp.vertexai"),
    ),
    "gcp.gemini": ("google", ("gemini", "google_genai", "google_generativeai", "google_ai_studio", "google_gla")),
    "gcp.gen_ai": ("google", ("google", "gcp", "gcp.genai", "google_generative_ai")),
    "mistral_ai": ("mistral", ("mistralai", "mistral")),
    "x_ai": ("x-ai", ("xai", "grok")),
    "cohere": ("cohere", ("cohere_chat",)),
    "deepseek": ("deepseek", ("deep_seek",)),
    "groq": ("groq", ()),
    "perplexity": ("perplexity", ("perplexityai", "perplexity_ai", "pplx")),
    "moonshot_ai": ("moonshotai", ("moonshot", "moonshotai", "kimi")),
    "together_ai": ("together", ("together", "togetherai")),
    "fireworks_ai": ("fireworks", ("fireworks", "fireworksai")),
    "openrouter": ("openrouter", ("open_router",)),
    "cerebras": ("cerebras", ()),
    "voyage_ai": ("voyageai", ("voyage", "voyageai")),
    "minimax": ("minimax", ()),
    "zhipu_ai": ("zhipuai", ("zhipu", "zhipuai")),
    "z_ai": ("zai", ("zai", "z.ai")),
    "novita": ("novita", ("novita_ai", "novitaai")),
    "meta": ("meta", ("meta_llama_api",)),
    "github_copilot": ("github-copilot", ("copilot",)),
    "databricks": ("databricks", ()),
    "cloudflare": ("cloudflare", ("workers_ai", "cloudflare_workers_ai")),
    "elevenlabs": ("elevenlabs", ("eleven_labs",)),
    "ibm.watsonx.ai": ("", ("watsonx", "watsonx.ai", "watsonx_ai", "ibm_watsonx")),
    # Models that run on one's own machines have no list price, whatever they are called.
    "ollama": ("", ()),
    "vllm": ("", ("hosted_vllm",)),
    "llama_cpp": ("", ("llamacpp", "llama.cpp")),
    "lm_studio": ("", ("lmstudio",)),
    "local": ("", ("localai", "local_ai", "self_hosted")),
    "sagemaker": ("", ("aws.sagemaker", "amazon_sagemaker")),
}
_CANONICAL = {alias: name for name, (_, aliases) in _PROVIDERS.items() for alias in (name, *aliases)}
_PRICE_LISTS = {name: price_list for name, (price_list, _) in _PROVIDERS.items()}
_BY_PRICE_LIST = {price_list: name for name, price_list in reversed(_PRICE_LISTS.items()) if price_list}
# A model's own price list does not say through which of Google's doors it was called.
_BY_PRICE_LIST["google"] = "gcp.gen_ai"

# Bedrock's ids: an optional region, the maker, a dot; `anthropic.claude-3-haiku-20240307-v1:0`.
_BEDROCK = re.compile(
    r"(?:[a-z]{2,6}(?:-gov)?\.)?"
    r"(?:ai21|amazon|anthropic|cohere|deepseek|meta|mistral|openai|qwen|stability|twelvelabs|writer)\.[a-z]"
)
# First match wins; for models whose provider was not sent.
_BY_MODEL: tuple[tuple[re.Pattern[str], str], ...] = (
    (_BEDROCK, "aws.bedrock"),
    (
        re.compile(r"(?:ft:)?(?:gpt-|chatgpt|o[134](?:$|-)|text-embedding-(?:3|ada)|davinci|babbage|whisper-1$|tts-1)"),
        "openai",
    ),
    (re.compile(r"claude"), "anthropic"),
    (re.compile(r"gemini|text-embedding-00\d"), "gcp.gen_ai"),
    (re.compile(r"(?:open-)?(?:mi|code|dev|magi|mini)stral|(?:open-)?mixtral|pixtral|voxtral"), "mistral_ai"),
    (re.compile(r"grok"), "x_ai"),
    (re.compile(r"deepseek"), "deepseek"),
    (re.compile(r"command(?:-|$)|embed-(?:english|multilingual|v\d)|rerank-"), "cohere"),
    (re.compile(r"sonar(?:-|$)"), "perplexity"),
    (re.compile(r"kimi|moonshot"), "moonshot_ai"),
    (re.compile(r"voyage-"), "voyage_ai"),
    (re.compile(r"glm-"), "zhipu_ai"),
)


@lru_cache(maxsize=4096)
def normalise_provider(raw: str) -> str:
    """The name under which a provider is kept: `Azure`, `az.ai.openai` and `azure` are all `azure.ai.openai`.

    `openai.chat` and the like (Vercel's AI SDK) lose what follows the dot where the whole is unknown.
    """
    text = raw.strip().lower()
    key = re.sub(r"[\s-]+", "_", text)
    if key in _CANONICAL:
        return _CANONICAL[key]
    head = key.partition(".")[0]
    return _CANONICAL.get(head, text) if "." in key else text


def price_list_of(provider: str) -> str | None:
    """The name of a canonical provider in the price list: "" where it has none, None for a provider not known here."""
    return _PRICE_LISTS.get(provider)


def provider_of_price_list(price_list: str) -> str:
    """The canonical name of a provider of the price list."""
    return _BY_PRICE_LIST.get(price_list, price_list)


@lru_cache(maxsize=4096)
def infer_provider(model: str) -> str | None:
    """The provider that a model's name gives away, or None: `openai/gpt-4o` by its prefix, `claude-...` by itself."""
    text = model.strip().lower()
    head, slash, _ = text.partition("/")
    if slash:
        known = _CANONICAL.get(re.sub(r"[\s-]+", "_", head))
        if known is not None:
            return known
        text = text.rpartition("/")[2]
    return next((provider for pattern, provider in _BY_MODEL if pattern.match(text)), None)
