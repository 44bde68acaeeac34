"""Pure computation: typings, matching, ranking. Values in, values out."""
