"""Mean and standard deviation of red, green and blue that published vision models were trained with."""

CLIP_COLOURS = {
    "mean": (0.48145466, 0.4578275, 0.40821073),
    "std": (0.26862954, 0.26130258, 0.27577711),
    "fill": (0.48145466, 0.4578275, 0.40821073),
}
HALF_COLOURS = dict.fromkeys(("mean", "std", "fill"), (0.5, 0.5, 0.5))
