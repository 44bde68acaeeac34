"""Genotypes x genotypes -> probabilities of matches (rule R16), and whole percents of them."""

from matching.probability.by_class import MOST_IN_PAIRS, HaplotypeSums, predict_by_class
from matching.probability.percents import ExactPairs, locus_grades, whole_percents
from matching.probability.prediction import DonorTable, NearPairs, Prediction, predict
from matching.probability.shared import CarriedHaplotypes

__all__ = [
    "MOST_IN_PAIRS",
    "CarriedHaplotypes",
    "DonorTable",
    "ExactPairs",
    "HaplotypeSums",
    "NearPairs",
    "Prediction",
    "locus_grades",
    "predict",
    "predict_by_class",
    "whole_percents",
]
