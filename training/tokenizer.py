"""Make the tokenizer: one token for each word of the captions, letters for every other word.

Lower-cases and strips accents itself, so that "A Red BALL" is read as "a red ball". The class is the generic
fast tokenizer, because T5Tokenizer rebuilds itself from its vocabulary on loading and forgets a normaliser.
"""

import functools
import random
import re

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from training.captions import caption, draw_depth
from training.model import MAX_TEXT_TOKENS
from training.scenes import sample_pool


@functools.cache
def caption_words(num_captions: int = 60_000, seed: int = 0) -> list[str]:
    """Return the words of sampled captions that are seen at least 20 times, sorted."""
    scenes, rng = sample_pool(num_captions, seed), random.Random(seed)
    counts: dict[str, int] = {}
    for i in range(len(scenes)):
        for word in re.findall(r"[a-z]+", caption(scenes, i, draw_depth(scenes, i, rng), rng)):
            counts[word] = counts.get(word, 0) + 1
    return sorted(word for word, count in counts.items() if count >= 20)


def make_tokenizer(words: list[str]) -> PreTrainedTokenizerFast:
    """Return a unigram tokenizer in which a known word always beats its spelling."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0), ("▁", -2.0)]
    pieces += [(f"▁{word}", -1.0) for word in words]
    pieces += [(letter, -8.0) for letter in "abcdefghijklmnopqrstuvwxyz0123456789"]
    pieces += [(mark, -2.0) for mark in ".,;:!?'\"()-"]
    core = Tokenizer(models.Unigram(pieces, unk_id=2))
    core.normalizer = normalizers.Sequence(
        [normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]
    )
    core.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(prepend_scheme="always"),
            pre_tokenizers.Punctuation(behavior="isolated"),
        ]
    )
    core.decoder = decoders.Metaspace()
    core.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        model_max_length=MAX_TEXT_TOKENS,
    )
