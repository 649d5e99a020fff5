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
    exp.Union, exp.Except, exp.Intersect, exp.Rollup, exp.Cube, exp.GroupingSets, exp.Filter, exp.IgnoreNulls,
    exp.RespectNulls, exp.Any, exp.All,
})  # fmt: skip

REWRITTEN = frozenset({exp.Pivot, exp.PivotAlias, exp.Fetch, exp.LimitOptions, exp.Values})
"""Parts that a query may contain and that never run: the guard rewrites them."""

VALUES = frozenset({
    exp.Literal, exp.Boolean, exp.Null, exp.Interval, exp.IntervalSpan, exp.Var, exp.DataType, exp.DataTypeParam,
    exp.Cast, exp.TryCast,
})  # fmt: skip

OPERATORS = frozenset({
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ,
    exp.Is, exp.In, exp.Between, exp.Like, exp.ILike, exp.Escape, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg,
    exp.DPipe, exp.Case, exp.If, exp.Xor, exp.BitwiseAnd, exp.BitwiseOr, exp.BitwiseXor, exp.Booland, exp.Boolor,
    exp.RegexpLike, exp.RegexpILike, exp.IntDiv,
})  # fmt: skip

AGGREGATES = frozenset({
    exp.Count, exp.CountIf, exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Median, exp.Mode, exp.Stddev, exp.StddevSamp,
    exp.StddevPop, exp.Variance, exp.VariancePop, exp.Corr, exp.CovarPop, exp.CovarSamp, exp.RegrSlope,
    exp.RegrIntercept, exp.RegrCount, exp.RegrR2, exp.RegrAvgx, exp.RegrAvgy, exp.RegrSxx, exp.RegrSxy, exp.RegrSyy,
    exp.PercentileCont, exp.PercentileDisc, exp.GroupConcat, exp.ArgMax, exp.ArgMin, exp.AnyValue, exp.LogicalOr,
    exp.LogicalAnd, exp.BoolxorAgg, exp.Skewness, exp.Kurtosis, exp.ApproxDistinct, exp.Hll, exp.ApproxQuantile,
    exp.ApproxTopK, exp.Grouping, exp.GroupingId, exp.BitwiseAndAgg, exp.BitwiseOrAgg, exp.BitwiseXorAgg,
})  # fmt: skip

LISTS = frozenset({exp.ArrayAgg, exp.ArrayUniqueAgg, exp.ArrayDistinct, exp.SortArray, exp.Split, exp.RegexpExtractAll})
"""Functions whose result is a list. In the result of the query a list becomes one text."""

RANKING = frozenset({
    exp.RowNumber, exp.Rank, exp.DenseRank, exp.PercentRank, exp.CumeDist, exp.Ntile, exp.Lag, exp.Lead,
    exp.FirstValue, exp.LastValue, exp.NthValue,
})  # fmt: skip

RANKED = tuple(RANKING)
"""Window functions whose values differ from row to row."""

SCALARS = frozenset({
    exp.Abs, exp.Ceil, exp.Floor, exp.Round, exp.Trunc, exp.Sqrt, exp.Cbrt, exp.Pow, exp.Ln, exp.Log, exp.Exp, exp.Sign,
    exp.Greatest, exp.Least, exp.Coalesce, exp.Nullif, exp.Nvl2, exp.EqualNull, exp.DecodeCase, exp.WidthBucket,
    exp.Factorial, exp.Upper, exp.Lower, exp.Initcap, exp.Trim, exp.Length, exp.ByteLength, exp.Left, exp.Right,
    exp.Substring, exp.Concat, exp.ConcatWs, exp.Replace, exp.Translate, exp.Reverse, exp.Pad, exp.SplitPart,
    exp.Strtok, exp.Stuff, exp.Contains, exp.StartsWith, exp.EndsWith, exp.StrPosition, exp.Ascii, exp.Unicode, exp.Chr,
    exp.Soundex, exp.Levenshtein, exp.JarowinklerSimilarity, exp.RegexpExtract, exp.RegexpReplace, exp.RegexpCount,
    exp.RegexpInstr, exp.ToChar, exp.ToNumber, exp.ToDouble, exp.ToBoolean, exp.Pi, exp.Radians, exp.Degrees, exp.Sin,
    exp.Cos, exp.Tan, exp.Cot, exp.Asin, exp.Acos, exp.Atan, exp.Atan2, exp.Sinh, exp.Cosh, exp.Tanh, exp.Asinh,
    exp.Acosh, exp.Atanh, exp.ArraySize, exp.ArrayToString, exp.ArrayContains,
})  # fmt: skip

DATES = frozenset({
    exp.CurrentDate, exp.CurrentTimestamp, exp.Localtimestamp, exp.DateTrunc, exp.TimestampTrunc, exp.DateAdd,
    exp.DateSub, exp.DateDiff, exp.AddMonths, exp.MonthsBetween, exp.LastDay, exp.NextDay, exp.PreviousDay,
    exp.DateFromParts, exp.TimestampFromParts, exp.TimeFromParts, exp.Extract, exp.Year, exp.Quarter, exp.Month,
    exp.Week, exp.WeekOfYear, exp.YearOfWeek, exp.YearOfWeekIso, exp.Day, exp.DayOfMonth, exp.DayOfYear, exp.DayOfWeek,
    exp.DayOfWeekIso, exp.Hour, exp.Minute, exp.Second, exp.Dayname, exp.Monthname, exp.TsOrDsToDate, exp.TsOrDsToTime,
    exp.StrToTime, exp.StrToDate, exp.TimestampAdd, exp.TimestampSub, exp.TimestampDiff, exp.TimeAdd,
    exp.TimeSlice, exp.ConvertTimezone, exp.Date,
})  # fmt: skip

NAMED = frozenset({
    "RATIO_TO_REPORT", "CONDITIONAL_CHANGE_EVENT", "CONDITIONAL_TRUE_EVENT", "HAVERSINE", "TO_TIMESTAMP",
    "TO_TIMESTAMP_NTZ", "TRY_TO_TIMESTAMP", "TRY_TO_TIMESTAMP_NTZ", "GREATEST_IGNORE_NULLS",
    "LEAST_IGNORE_NULLS",
})  # fmt: skip
"""Built-in functions for which sqlglot has no class of their own. A user's function of that name cannot take its
place: Snowflake refuses to create it."""

ALLOWED = CLAUSES | VALUES | OPERATORS | AGGREGATES | LISTS | RANKING | SCALARS | DATES

PARTS: dict[type[exp.Expr], set[str]] = {
    exp.Select: {"with_", "expressions", "distinct", "from_", "joins", "where", "group", "having", "qualify", "windows",
                 "order", "limit", "offset"},
    exp.Union: {"with_", "this", "expression", "distinct", "order", "limit", "offset"},
    exp.Except: {"with_", "this", "expression", "distinct", "order", "limit", "offset"},
    exp.Intersect: {"with_", "this", "expression", "distinct", "order", "limit", "offset"},
    exp.Table: {"this", "db", "catalog", "alias", "pivots"},
    exp.TableAlias: {"this", "columns"},
    exp.Column: {"this", "table", "db", "catalog"},
    exp.Identifier: {"this", "quoted"},
    exp.Join: {"this", "on", "using", "side", "kind", "method", "match_condition"},
    exp.With: {"expressions"},
    exp.CTE: {"this", "alias"},
    exp.Subquery: {"this", "alias", "pivots"},
    exp.Limit: {"expression"},
    exp.Values: {"expressions", "alias"},
    exp.Fetch: {"direction", "count", "limit_options"},
    exp.LimitOptions: {"rows"},
    exp.Star: {"except_"},
    exp.Distinct: {"expressions"},
    exp.Cast: {"this", "to"},
    exp.TryCast: {"this", "to", "requires_string", "safe"},
    exp.Anonymous: {"this", "expressions"},
    exp.Filter: {"this", "expression"},
}  # fmt: skip
"""The parts that may be set of nodes with harmful ones, such as time travel on a table."""

TYPES = frozenset({
    exp.DataType.Type.INT, exp.DataType.Type.BIGINT, exp.DataType.Type.SMALLINT, exp.DataType.Type.TINYINT,
    exp.DataType.Type.DECIMAL, exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE, exp.DataType.Type.BOOLEAN,
    exp.DataType.Type.VARCHAR, exp.DataType.Type.CHAR, exp.DataType.Type.TEXT, exp.DataType.Type.DATE,
    exp.DataType.Type.TIME, exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ,
    exp.DataType.Type.TIMESTAMPTZ, exp.DataType.Type.TIMESTAMPLTZ, exp.DataType.Type.DATETIME,
})  # fmt: skip
"""Types that a value may be cast to."""

WORDS = frozenset({
    "YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND", "DAYOFWEEK", "DOW", "DAYOFYEAR", "DOY",
    "DAYOFWEEKISO", "DAYOFWEEK_ISO", "WEEKISO", "WEEK_ISO", "YEAROFWEEK", "YEAROFWEEKISO", "EPOCH", "EPOCH_SECOND",
    "EPOCH_MILLISECOND", "MILLISECOND", "DAYOFMONTH", "YEARS", "QUARTERS", "MONTHS", "WEEKS", "DAYS", "HOURS",
    "MINUTES", "SECONDS",
})  # fmt: skip
"""Bare words that are neither names nor numbers: units of time."""

INSTEAD = {
    "CURRENT_USER": "leave it out: the query already runs in the user's role",
    "CURRENT_ROLE": "leave it out: the query already runs in the user's role",
    "LATERAL": "join a table, or test a list in a text with CONTAINS or LIKE",
    "UNNEST": "join a table, or test a list in a text with CONTAINS or LIKE",
    "BRACKET": "use SPLIT_PART(text, separator, number)",
    "JSON_EXTRACT": "the columns hold no JSON: use the columns that describe_table lists",
    "MATCH_RECOGNIZE": "use LAG, LEAD or ROW_NUMBER in a CTE",
    "PIVOTANY": "list the values: PIVOT (SUM(value) FOR key IN ('a', 'b'))",
    "RAND": "order by a column and limit",
    "REPEAT": "leave the repetition out",
    "COLLATE": "compare UPPER(text), or use ILIKE",
    "PARAMETER": "write the value itself",
    "PLACEHOLDER": "write the value itself",
}
"""What to write instead of common parts that are refused."""
