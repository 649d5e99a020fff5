-- One verdict per command: the first attempt that gets here decides; a second one changes nothing.
create table verdict (
    task_id uuid primary key,            -- the command's event_id
    case_id uuid not null,
    tenant text not null default scope('tenant'),
    user_id text not null default scope('user'),
    session_id text not null default scope('session'),
    stage text not null check (stage in ('contact', 'email', 'sending')),
    outcome text not null,               -- the type of the event
    pack text not null,
    purpose text not null,
    account_sha256 text not null,
    content_sha256 text,                 -- of the email's plain bytes
    rules text[] not null,               -- those that blocked, could not be checked, or asked to wait
    rubric_score integer check (rubric_score between 0 and 10000),
    approval text,
    payload jsonb not null,              -- the event's payload: no personal data
    places jsonb not null,               -- where its artefacts are: ciphertext
    model_call jsonb,
    number bigint generated always as identity,  -- which verdict is the latest: two processes' clocks may differ
    recorded_at timestamptz not null,
    retain_until date not null           -- 12 CFR 1006.100: at least; a later activity prolongs it
);

create index verdict_case on verdict (case_id, content_sha256);

-- Kept as written. Only the schema's owner may delete, and only what need not be kept any more.
create function verdict_is_kept() returns trigger language plpgsql as $$
begin
    if tg_op = 'DELETE' and old.retain_until < current_date then
        return old;
    end if;
    raise exception 'a verdict is kept until %', old.retain_until using errcode = 'restrict_violation';
end $$;

create trigger verdict_is_kept before update or delete on verdict
    for each row execute function verdict_is_kept();

create trigger verdict_is_not_truncated before truncate on verdict
    for each statement execute function verdict_is_kept();

-- What the email sender may know of the verdicts: whether exactly this content of this case may be sent. Only in the
-- case's scope: the function's owner may be a superuser, for whom row security does not count.

create function sending_verdict(the_case uuid, content text) returns table (
    reviewed text, review_pack text, approval text, checked text, check_pack text, valid_until timestamptz
)
language sql stable security definer rows 1 set search_path = compliance, pg_temp as $$
    select r.outcome, r.pack, r.approval, c.outcome, c.pack, (c.payload ->> 'valid_until')::timestamptz
    from (select) nothing
    left join lateral (
        select * from verdict where case_id = the_case and content_sha256 = content and stage = 'email'
            and (tenant, user_id, session_id) = (scope('tenant'), scope('user'), scope('session'))
        order by number desc limit 1
    ) r on true
    left join lateral (
        select * from verdict where case_id = the_case and content_sha256 = content and stage = 'sending'
            and (tenant, user_id, session_id) = (scope('tenant'), scope('user'), scope('session'))
        order by number desc limit 1
    ) c on true
$$;
revoke execute on function sending_verdict from public;
comment on function sending_verdict is 'The latest review of this content and the latest check of its sending, as compliance recorded them; null where it is missing.';
