"""Layers that prepare data inside a model: numbers, categories, texts, sound; images are in ``image``.

(``nyala.preprocessing`` is what old Keras had for arrays outside a model.)
"""
