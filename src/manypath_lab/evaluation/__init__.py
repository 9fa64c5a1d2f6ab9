"""One harness for every measurement: codecs write real bytes, judges look at what comes back.

``sets`` finds pictures and what is true of them, ``codecs`` codes them, ``judges`` answer on the reconstructions,
``run`` brings the three together over one ``cache``. ``score`` turns answers into figures; ``bd_rate`` and
``equal_accuracy`` compare codecs by them; ``report`` and ``figures`` write what was found.
"""
