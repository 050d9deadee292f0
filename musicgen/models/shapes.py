"""Names and shapes of a network's weights, known without building it and without torch."""

from __future__ import annotations

from musicgen.models.config import ModelConfig

Shapes = dict[str, tuple[int, ...]]


def weight_shapes(config: ModelConfig) -> Shapes:
    """Shape of every parameter by name, as `build_model(config).named_parameters()` has them."""
    width, vocab = config.d_model, config.vocab_size
    shapes: Shapes = {"embedding.token.weight": (vocab, width)}
    n_plain = sum(config.feature_sizes[i] for i in config.plain_columns)
    if n_plain:
        shapes["embedding.table.weight"] = (n_plain, width)
    if config.spoken_columns:
        shapes |= {
            "embedding.map.weight": (width, width * len(config.spoken_columns)),
            "embedding.map.bias": (width,),
        }
    of_layer = {"rnn": _recurrence, "lstm": _lstm_layer, "transformer": _block}[config.kind]
    for index in range(config.n_layers):
        shapes |= of_layer(index, config)
    if config.kind == "transformer":
        shapes["norm.weight"] = (width,)
    shapes["readout.output.bias"] = (vocab,)
    if not config.tie_embeddings:
        shapes["readout.output.weight"] = (vocab, width)
    if n_guesses := len(config.pushing_columns):
        shapes |= {"readout.push.weight": (n_guesses, width), "readout.push.bias": (n_guesses,)}
        if config.trust_columns:
            n_values = sum(config.feature_sizes[i] for i in config.trust_columns)
            shapes["readout.trust.weight"] = (n_values, n_guesses)
    return shapes


def inner_width(d_model: int) -> int:
    """Channels inside a transformer's feed-forward layer: as many weights as the classic 4 C has,
    rounded up to a multiple of 64."""
    return -(-8 * d_model // 3 // 64) * 64


def _recurrence(index: int, config: ModelConfig) -> Shapes:
    square = (config.d_model, config.d_model)
    layer = f"layers.{index}."
    return {f"{layer}w_in": square, f"{layer}w_hidden": square, f"{layer}bias": square[:1]}


def _lstm_layer(index: int, config: ModelConfig) -> Shapes:
    gates = 4 * config.d_model
    layer = f"layers.{index}.lstm."
    return {
        f"{layer}weight_ih_l0": (gates, config.d_model),
        f"{layer}weight_hh_l0": (gates, config.d_model),
        f"{layer}bias_ih_l0": (gates,),
        f"{layer}bias_hh_l0": (gates,),
    }


def _block(index: int, config: ModelConfig) -> Shapes:
    width, inner = config.d_model, inner_width(config.d_model)
    block = f"blocks.{index}."
    return {
        f"{block}norm_attention.weight": (width,),
        f"{block}norm_feed.weight": (width,),
        f"{block}qkv.weight": (3 * width, width),
        f"{block}merge.weight": (width, width),
        f"{block}up.weight": (2 * inner, width),
        f"{block}down.weight": (width, inner),
    }
