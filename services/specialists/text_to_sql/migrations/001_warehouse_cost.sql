create table warehouse_cost (
  user_key text not null,
  day      date not null,
  ms       bigint not null check (ms >= 0),
  bytes    bigint not null check (bytes >= 0),
  primary key (user_key, day)
);
comment on table warehouse_cost is 'What each user''s queries cost the warehouse per day: one row per user and day, kept for a week.';
comment on column warehouse_cost.user_key is 'SHA-256 of tenant and user.';
comment on column warehouse_cost.day is 'In UTC.';
comment on column warehouse_cost.ms is 'Milliseconds that statements ran, and those reserved for statements that run or whose end was lost.';
comment on column warehouse_cost.bytes is 'Bytes of results, and those reserved.';
