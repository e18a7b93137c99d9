"""Around a trap of bitsandbytes: on CPUs with AVX512-BF16 the first answer packs 4-bit weights anew, and for good.

Packed, a layer answers faster. But one whose outputs are no multiple of 32 cannot be packed and fails, and through a
packed layer no gradient comes back, in training mode neither.
"""

from __future__ import annotations

from torch import nn

_PACKED_OUTPUTS = 32
_MAY_PACK = "support_avx512bf16_for_cpu"


def keep_unpacked(model: nn.Module, *, all_layers: bool) -> None:
    """Forbids packing of layers that cannot be packed, or of all.

    Args:
        model: A model whose language model is in 4 bits; any other is left as it is.
        all_layers: Whether none may be packed, as in a model that is trained between answers.
    """
    for module in model.modules():
        # Its 4-bit layer is a linear layer; bitsandbytes itself is slow to import, and few need it.
        if (
            isinstance(module, nn.Linear)
            and hasattr(module, _MAY_PACK)
            and (all_layers or module.out_features % _PACKED_OUTPUTS)
        ):
            setattr(module, _MAY_PACK, False)
