"""A small model from scratch that learns from a larger one: what follows is what the teacher holds likely."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ...state.canonical import sha256_file
from ...state.errors import UsageError
from ...state.params.final_model import TrainParams
from ...state.phrases import Advance, silent
from .checkpoint import check_replaceable, load_model, quiet, save_model
from .fit import Loss, TrainResult, fit, result_of
from .resume import resume_beside

_TEMPERATURE, _SHARE = 2.0, 0.5  # of the distributions; of the teacher in the loss: the rest is the text's


def distil(text: Iterable[str], params: TrainParams, out: Path, seed: int, advance: Advance = silent) -> TrainResult:
    """Train a Llama of the sizes in ``params`` on ``text`` and on what the model in ``params.distil_from`` makes of it.

    The student has the teacher's tokenizer, and so its vocabulary, not ``params.vocab_size``. The rest is as in
    ``train``; sequences are no longer than the teacher's positions. The losses are those of ``distillation``.

    Raises:
        UsageError: sizes that do not fit together, a learning rate that diverges, ``out`` holds something else than a
            model or is the teacher.
        InputError: no usable teacher, a tokenizer without an end of text, or the text is shorter than one sequence.
        StorageError: ``out`` cannot be written.

    Source: Hinton et al. 2015, section 2.
    """
    import torch

    from .finetune import encode_as, within_positions
    from .prune import pruned
    from .train import check_sizes, new_model

    folder = Path(str(params.distil_from)).expanduser()
    if out.resolve() in (folder.resolve(), *folder.resolve().parents):
        raise UsageError(f"the student would overwrite its teacher {folder}: name another folder")
    check_sizes(params)
    check_replaceable(out)
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        teacher, tokenizer = load_model(folder, dtype=torch.float32)
        params = within_positions(params, teacher)
        tokens = encode_as(tokenizer, folder, text, params)
        student = new_model(params, teacher.get_input_embeddings().num_embeddings, tokenizer.eos_token_id)
        weights = [sha256_file(path) for path in sorted(folder.glob("*.safetensors"))]
        resume = resume_beside(out, tokens, student, params.model_dump(), seed, weights)
        losses = fit(student, tokens, params, seed, advance, resume, distillation(teacher))
        student = pruned(student, tokenizer, tokens, params, out, seed, advance)
        save_model(student, tokenizer, out)
        resume.forget()
    return result_of(out, student, tokens, losses, params)


def distillation(teacher: Any) -> Loss:
    """Half the cross-entropy of the next tokens, and half the divergence (KL) of the model's next-token distribution
    from the teacher's, both at temperature 2 and by its square as large. The teacher stays as it is.

    Source: Hinton et al. 2015, section 2: the square keeps the gradients of both as large at any temperature.
    """
    import torch
    from torch.nn import functional

    teacher.eval()

    def loss_of(student: Any, batch: Any) -> Any:
        with torch.no_grad():
            taught = teacher(input_ids=batch, use_cache=False).logits[:, :-1].flatten(0, 1).float()
        logits = student(input_ids=batch, use_cache=False).logits[:, :-1].flatten(0, 1).float()
        soft = functional.kl_div(
            (logits / _TEMPERATURE).log_softmax(-1),
            (taught / _TEMPERATURE).log_softmax(-1),
            reduction="batchmean",
            log_target=True,
        )
        hard = functional.cross_entropy(logits, batch[:, 1:].flatten())
        return _SHARE * _TEMPERATURE**2 * soft + (1 - _SHARE) * hard

    return loss_of
