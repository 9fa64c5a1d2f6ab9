"""Ways to serve a task beside a trained model, each with what it adds: the comparisons of the paper's Figure 1.

One module per way. Each says which parameters learn, how a picture is made and whether streams stay shared; ``trainer``
gives all of them the same steps on the same batches, ``measure`` the same judgement, ``table`` one table.
"""
