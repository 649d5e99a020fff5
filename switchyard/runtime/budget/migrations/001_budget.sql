-- The money ledger. Amounts are micro-dollars: a million of them is a US dollar. Days are those of UTC.

create table money_limit (
  tenant     text not null,
  period     text not null check (period in ('day', 'case')),
  micros     bigint check (micros >= 0),
  command_id uuid not null,
  signed_at  timestamptz not null,
  set_by     text not null,
  why        text not null,
  set_at     timestamptz not null default clock_timestamp(),
  primary key (tenant, period)
);
comment on table money_limit is 'What a tenant may spend on models in a day, and in one case. Written by the case manager, from commands that operators signed.';
comment on column money_limit.tenant is 'A tenant; `every-tenant` for all that have no limit of their own.';
comment on column money_limit.micros is 'Null for a tenant that has no limit although every tenant has one.';

create table tenant_day (
  tenant          text not null,
  day             date not null,
  spent           bigint not null default 0 check (spent >= 0),
  reserved        bigint not null default 0 check (reserved >= 0),
  unpriced_tokens bigint not null default 0,
  stopped_calls   integer not null default 0,
  observed        bigint not null default 0,
  reported        smallint not null default 0,
  primary key (tenant, day)
);
comment on table tenant_day is 'What a tenant has spent and reserved in a day. Every reservation locks its row.';
comment on column tenant_day.unpriced_tokens is 'Tokens of models without a price; only where no limit applied.';
comment on column tenant_day.stopped_calls is 'Model calls that were not made because the day''s limit was reached.';
comment on column tenant_day.observed is 'What observers such as a judge have spent of it. They are stopped at four fifths of the limit: cases come first.';
comment on column tenant_day.reported is 'The highest threshold, in percent, that has an event.';

create table case_total (
  case_id  uuid primary key,
  tenant   text not null,
  last_day date not null,
  spent    bigint not null default 0 check (spent >= 0),
  reserved bigint not null default 0 check (reserved >= 0)
);
comment on table case_total is 'What a case has spent and reserved, over all its days and attempts; observers not included.';

create table model_call (
  call_id     uuid primary key,
  task_id     uuid not null,
  case_id     uuid not null,
  tenant      text not null,
  day         date not null,
  node        text not null,
  observes    boolean not null,
  model       text not null,
  micros      bigint not null check (micros >= 0),
  tokens      bigint not null check (tokens >= 0),
  state       text not null default 'open' check (state in ('open', 'settled', 'lost')),
  asked_at    timestamptz not null,
  lease_until timestamptz not null
);
create index model_call_open on model_call (lease_until) where state = 'open';
create index model_call_minute on model_call (model, asked_at);
create index model_call_age on model_call (asked_at);
comment on table model_call is 'Model calls: reserved before, settled once after. Kept for a week.';
comment on column model_call.model is 'The one that is asked first.';
comment on column model_call.micros is 'While it is open, or lost: the most that it may cost. Then: what it cost.';
comment on column model_call.state is 'Lost: its agent did not report in time. It counts as spent until the agent does.';

create table model_quota (
  model             text primary key,
  tokens_per_minute bigint not null
);
comment on table model_quota is 'The quota of a model, as the agents are configured. Its row is the lock of that model''s minute.';

create table model_demand (
  model    text not null,
  tenant   text not null,
  asked_at timestamptz not null,
  primary key (model, tenant)
);
comment on table model_demand is 'When a tenant last asked for a model that has a quota, whether or not it got it.';

create function today() returns date language sql stable as $$ select (clock_timestamp() at time zone 'utc')::date $$;

create function limit_of(the_tenant text, the_period text) returns bigint
language sql stable set search_path = budget, pg_temp as $$
  select micros from money_limit where tenant in (the_tenant, 'every-tenant') and period = the_period
  order by tenant = the_tenant desc limit 1
$$;
comment on function limit_of is 'A tenant''s own limit, else that of every tenant; null for none.';

-- How long a call must wait for the quota of its model; null if it need not. A tenant has at most its share while others
-- ask too. A call that is larger than the share is let through when its tenant has used nothing in the minute.
create function quota_wait(at timestamptz, the_tenant text, the_model text, need bigint, quota bigint) returns float8
language plpgsql set search_path = budget, pg_temp as $$
declare
  asking bigint;
  minute record;
begin
  insert into model_quota as q (model, tokens_per_minute) values (the_model, quota)
  on conflict (model) do update set tokens_per_minute = excluded.tokens_per_minute;
  insert into model_demand as d (model, tenant, asked_at) values (the_model, the_tenant, at)
  on conflict (model, tenant) do update set asked_at = greatest(d.asked_at, excluded.asked_at);
  select count(*) into asking from model_demand where model = the_model and asked_at > at - interval '1 minute';
  select coalesce(sum(tokens), 0) as all_tokens, coalesce(sum(tokens) filter (where tenant = the_tenant), 0) as own,
    min(asked_at) filter (where tokens > 0) as oldest
    into minute from model_call where model = the_model and asked_at > at - interval '1 minute';
  if (minute.all_tokens = 0 or minute.all_tokens + need <= quota)
    and (asking = 1 or minute.own = 0 or minute.own + need <= quota / asking)
  then
    return null;
  end if;
  -- Who waits asks again within the minute, and so keeps its share.
  return least(20, greatest(1, 60 - extract(epoch from at - minute.oldest)));
end $$;

create function reserve_at(
  at timestamptz, of_node text, the_call uuid, the_task uuid, the_case uuid, the_model text, most_micros bigint,
  most_tokens bigint, quota bigint, lease_s float8
) returns table (verdict text, limit_micros bigint, used_micros bigint, wait_s float8)
language plpgsql set search_path = budget, pg_temp as $$
declare
  of_tenant text;
  today date := (at at time zone 'utc')::date;
  has_task boolean := false;
  observing boolean := exists (select from vault.card c where c.node = of_node and c.observes);
  waits float8;
  of_day tenant_day;
  of_case case_total;
  day_limit bigint;
  case_limit bigint;
  cost bigint := coalesce(most_micros, 0);
begin
  select s.facts::json #>> '{pinned,tenant}' into of_tenant from case_manager.submission s where s.case_id = the_case;
  execute format(
    'select exists (select from %I.inbox where event_id = $1 and case_id = $2 and outputs is null'
    ' and lease_until > clock_timestamp())', of_node
  ) into has_task using the_task, the_case;
  if of_tenant is null or not has_task then
    return query select 'no_open_task', null::bigint, null::bigint, null::float8;
    return;
  end if;
  if exists (select from model_call c where c.call_id = the_call) then
    return query select 'granted', null::bigint, null::bigint, null::float8;
    return;
  end if;
  if quota is not null then
    waits := quota_wait(at, of_tenant, the_model, most_tokens, quota);
    if waits is not null then
      return query select 'quota', null::bigint, null::bigint, waits;
      return;
    end if;
  end if;
  -- The day's row is the lock of all that its tenant reserves.
  insert into tenant_day (tenant, day) values (of_tenant, today) on conflict do nothing;
  select * into of_day from tenant_day d where d.tenant = of_tenant and d.day = today for update;
  day_limit := limit_of(of_tenant, 'day');
  if observing then
    day_limit := day_limit * 8 / 10;
  else
    insert into case_total (case_id, tenant, last_day) values (the_case, of_tenant, today) on conflict do nothing;
    select * into of_case from case_total c where c.case_id = the_case for update;
    case_limit := limit_of(of_tenant, 'case');
  end if;
  if most_micros is null and (day_limit is not null or case_limit is not null) then
    return query select 'unpriced', coalesce(day_limit, case_limit), null::bigint, null::float8;
  elsif of_day.spent + cost > day_limit then
    update tenant_day d set stopped_calls = d.stopped_calls + 1
      where d.tenant = of_tenant and d.day = today and not observing;
    return query select 'day', day_limit, of_day.spent, null::float8;
  elsif of_case.spent + cost > case_limit then
    return query select 'case', case_limit, of_case.spent, null::float8;
  elsif of_day.spent + of_day.reserved + cost > day_limit or of_case.spent + of_case.reserved + cost > case_limit then
    -- Calls that are under way may give back what they do not use.
    return query select 'reserved', null::bigint, null::bigint, 2::float8;
  else
    update tenant_day d set reserved = d.reserved + cost where d.tenant = of_tenant and d.day = today;
    update case_total c set reserved = c.reserved + cost, last_day = today where c.case_id = the_case and not observing;
    insert into model_call (
      call_id, task_id, case_id, tenant, day, node, observes, model, micros, tokens, asked_at, lease_until
    ) values (
      the_call, the_task, the_case, of_tenant, today, of_node, observing, the_model, cost, most_tokens, at,
      at + make_interval(secs => lease_s)
    );
    return query select 'granted', null::bigint, null::bigint, null::float8;
  end if;
end $$;

create function close_call_as(the_call uuid, new_state text, new_micros bigint, new_tokens bigint) returns boolean
language plpgsql set search_path = budget, pg_temp as $$
declare
  call model_call;
  freed bigint;
  added bigint;
begin
  select * into call from model_call c where c.call_id = the_call for update;
  if call.state is null or call.state = 'settled' or call.state = new_state then
    return false;
  end if;
  freed := case when call.state = 'open' then call.micros else 0 end;
  -- A lost call was counted with the most that it may cost: its agent's late report corrects that.
  added := case new_state when 'lost' then call.micros else coalesce(new_micros, 0) end
    - case when call.state = 'lost' then call.micros else 0 end;
  update model_call c set state = new_state, tokens = coalesce(new_tokens, c.tokens),
    micros = case new_state when 'lost' then c.micros else coalesce(new_micros, 0) end
    where c.call_id = the_call;
  update tenant_day d set reserved = d.reserved - freed, spent = d.spent + added,
    observed = d.observed + case when call.observes then added else 0 end, unpriced_tokens = d.unpriced_tokens
      + case when new_state = 'settled' and new_micros is null then coalesce(new_tokens, 0) else 0 end
    where d.tenant = call.tenant and d.day = call.day;
  update case_total c set reserved = c.reserved - freed, spent = c.spent + added
    where c.case_id = call.case_id and not call.observes;
  return true;
end $$;

-- For agents. `session_user` is who logged in; inside these functions `current_user` is their owner.

create function reserve(
  the_call uuid, the_task uuid, the_case uuid, the_model text, most_micros bigint, most_tokens bigint, quota bigint,
  lease_s float8
) returns table (verdict text, limit_micros bigint, used_micros bigint, wait_s float8)
language sql security definer rows 1 set search_path = budget, pg_temp as $$
  select * from reserve_at(
    clock_timestamp(), session_user, the_call, the_task, the_case, the_model, most_micros, most_tokens, quota, lease_s)
$$;
comment on function reserve is 'Reserve the most that a model call may cost, for an agent that has a task of the case; granted, or why not.';

create function close_call(the_call uuid, used_micros bigint, used_tokens bigint) returns boolean
language sql security definer set search_path = budget, pg_temp as $$
  select close_call_as(the_call, 'settled', used_micros, used_tokens)
  from model_call where call_id = the_call and node = session_user
$$;
comment on function close_call is 'What a call has cost, once; null micro-dollars for a model without a price. The agent''s word counts.';

-- For the case manager.

create function lose_calls_at(at timestamptz, most integer) returns integer
language plpgsql set search_path = budget, pg_temp as $$
declare
  due uuid;
  lost integer := 0;
begin
  for due in
    select call_id from model_call where state = 'open' and lease_until < at
    order by tenant, day, call_id limit most for update skip locked
  loop
    lost := lost + close_call_as(due, 'lost', null, null)::integer;
  end loop;
  return lost;
end $$;
create function lose_calls(most integer) returns integer
language sql security definer set search_path = budget, pg_temp as $$
  select lose_calls_at(clock_timestamp(), most)
$$;
comment on function lose_calls is 'End the reservations whose agents did not report in time: they count as spent.';

create view due_reports as
select d.tenant, d.day, d.reported, l.micros as limit_micros, d.spent, d.reserved, d.stopped_calls,
  case when d.stopped_calls > 0 or (d.spent > 0 and d.spent >= l.micros) then 100
    when d.spent > 0 and d.spent * 10 >= l.micros * 8 then 80 when d.spent > 0 and d.spent * 2 >= l.micros then 50
    else 0 end as percent
from tenant_day d cross join lateral (select limit_of(d.tenant, 'day') as micros) l
where l.micros is not null;
comment on view due_reports is 'How much of its limit each tenant has spent in each day, as the highest threshold that it has reached.';

revoke execute on all functions in schema budget from public;
