create table warehouse_cost (
  tenant  text not null default scope('tenant'),
  user_id text not null default scope('user'),
  day     date not null,
  ms      bigint not null check (ms >= 0),
  bytes   bigint not null check (bytes >= 0),
  primary key (tenant, user_id, day)
);
comment on table warehouse_cost is 'What each user''s queries cost the warehouse per day: one row per user and day, kept for a week.';
comment on column warehouse_cost.day is 'In UTC.';
comment on column warehouse_cost.ms is 'Milliseconds that statements ran, and those reserved for statements that run or whose end was lost.';
comment on column warehouse_cost.bytes is 'Bytes of results, and those reserved.';
-- What is to be deleted of every user is outside each one's scope.
create policy outdated on warehouse_cost using (day < current_date - 7 and scope('tenant') is null);
