"""Write the predictions of samples that have one prediction each."""

from collections.abc import Sequence

from trainer.prediction.files import write_csv, write_npz
from trainer.prediction.job import Job
from trainer.prediction.outputs import Values
from trainer.prediction.sample_submission import order_by_id
from trainer.prediction.tables import label_table, probability_table, submission_table
from trainer.prediction.values import average, logits_of, values_of
from trainer.tasks.regression import Regression


def write_predictions(job: Job, outputs: Sequence[Values]) -> None:
    """Write the predictions of one run, or the mean of those of several; `outputs` are those of
    each run for all samples of the split. Rows are in the order of the sample submission, without
    one in that of the ids."""
    task = job.task
    values = [values_of(run.task, part) for (run, _), part in zip(job.runs, outputs, strict=True)]
    mean = average(values) if len(values) > 1 else values[0]
    if job.form is not None and job.sample is not None:
        table = submission_table(job.sample, job.form, mean)
        write_csv(job.out, table.header, table.rows)
        return
    order = order_by_id(job.ids)
    ids, mean = [job.ids[sample] for sample in order], mean[order]
    if job.format == "npz":
        if isinstance(task, Regression):
            write_npz(job.out, ids, predictions=mean)
        elif len(outputs) > 1:
            write_npz(job.out, ids, logits=logits_of(task, mean))
        else:
            write_npz(job.out, ids, logits=outputs[0][order])
        return
    if job.format == "probabilities":
        table = probability_table(job.names, ids, mean)
    else:
        table = label_table(task, job.names, ids, mean)
    write_csv(job.out, table.header, table.rows)
