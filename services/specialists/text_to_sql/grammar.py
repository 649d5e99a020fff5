"""The permitted grammar. The guard rejects every kind of syntax-tree node that is not listed here.

An allow-list, because sqlglot has a node class for most built-in functions: a check of unknown functions alone would
let CURRENT_USER() and LATERAL FLATTEN through, and so would a list of functions that are known to be dangerous.
"""

from __future__ import annotations

from sqlglot import exp

CLAUSES = frozenset({
    exp.Select, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Qualify, exp.Order, exp.Ordered, exp.Limit,
    exp.Offset, exp.Distinct, exp.With, exp.CTE, exp.Subquery, exp.Table, exp.TableAlias, exp.Alias, exp.Column,
    exp.Identifier, exp.Star, exp.Window, exp.WindowSpec, exp.WithinGroup, exp.Tuple, exp.Paren, exp.Exists,
})  # fmt: skip

VALUES = frozenset({
    exp.Literal, exp.Boolean, exp.Null, exp.Interval, exp.Var, exp.DataType, exp.DataTypeParam, exp.Cast, exp.TryCast,
})  # fmt: skip

OPERATORS = frozenset({
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ,
    exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.Escape, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg,
    exp.DPipe, exp.Case, exp.If,
})  # fmt: skip

AGGREGATES = frozenset({
    exp.Count, exp.CountIf, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Median, exp.Mode, exp.Stddev, exp.StddevSamp,
    exp.StddevPop, exp.Variance, exp.VariancePop, exp.Corr, exp.RegrSlope, exp.RegrIntercept, exp.PercentileCont,
    exp.PercentileDisc, exp.GroupConcat, exp.ArgMax, exp.ArgMin, exp.AnyValue, exp.LogicalOr, exp.LogicalAnd,
})  # fmt: skip

RANKING = frozenset({
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag, exp.Lead,
    exp.FirstValue, exp.LastValue, exp.NthValue,
})  # fmt: skip

SCALARS = frozenset({
    exp.Abs, exp.Ceil, exp.Floor, exp.Round, exp.Sqrt, exp.Pow, exp.Ln, exp.Log, exp.Exp, exp.Sign, exp.Greatest,
    exp.Least, exp.Coalesce, exp.Nullif, exp.DecodeCase, exp.Upper, exp.Lower, exp.Trim, exp.Length, exp.Left,
    exp.Right, exp.Substring, exp.Concat, exp.ConcatWs, exp.Replace, exp.SplitPart, exp.Contains, exp.StartsWith,
    exp.EndsWith, exp.ToChar, exp.ToNumber, exp.Radians, exp.Sin, exp.Cos, exp.Asin, exp.Acos,
})  # fmt: skip

DATES = frozenset({
    exp.CurrentDate, exp.DateTrunc, exp.TimestampTrunc, exp.DateAdd, exp.DateSub, exp.DateDiff, exp.AddMonths,
    exp.MonthsBetween, exp.LastDay, exp.DateFromParts, exp.Extract, exp.Year, exp.Quarter, exp.Month, exp.Day,
    exp.DayOfWeek, exp.Monthname, exp.TsOrDsToDate, exp.TimestampAdd, exp.TimestampDiff,
})  # fmt: skip

ALLOWED = CLAUSES | VALUES | OPERATORS | AGGREGATES | RANKING | SCALARS | DATES

PARTS: dict[type[exp.Expr], set[str]] = {
    exp.Select: {"with_", "expressions", "distinct", "from_", "joins", "where", "group", "having", "qualify", "order",
                 "limit", "offset"},
    exp.Table: {"this", "db", "catalog", "alias", "joins"},
    exp.Join: {"this", "on", "using", "side", "kind"},
    exp.With: {"expressions"},
    exp.CTE: {"this", "alias"},
    exp.Subquery: {"this", "alias", "joins"},
    exp.Limit: {"expression"},
    exp.Star: {"except_"},
    exp.Distinct: {"expressions"},
    exp.Cast: {"this", "to"},
    exp.TryCast: {"this", "to", "requires_string"},
}  # fmt: skip
"""The parts that may be set of nodes with harmful ones, such as time travel on a table."""

TYPES = frozenset({
    exp.DataType.Type.INT, exp.DataType.Type.BIGINT, exp.DataType.Type.SMALLINT, exp.DataType.Type.TINYINT,
    exp.DataType.Type.DECIMAL, exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE, exp.DataType.Type.BOOLEAN,
    exp.DataType.Type.VARCHAR, exp.DataType.Type.CHAR, exp.DataType.Type.TEXT, exp.DataType.Type.DATE,
    exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ,
})  # fmt: skip
"""Types that a value may be cast to."""

WORDS = frozenset({
    "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "DAYOFWEEK", "DOW", "DAYOFYEAR", "DOY",
    "DAYOFWEEKISO", "WEEKISO",
})  # fmt: skip
"""Bare words that are neither names nor numbers: units of time."""
