-- Only the ledger's own functions change what was spent. The case manager sets limits and reports thresholds.
revoke all on all tables in schema budget from case_manager, operator;
grant usage on schema budget to case_manager, operator;
grant select, insert, update on budget.money_limit to case_manager;
grant select on budget.due_reports, budget.tenant_day to case_manager;
grant update (reported) on budget.tenant_day to case_manager;
grant delete on budget.tenant_day, budget.case_total, budget.model_call to case_manager;
grant select (last_day) on budget.case_total to case_manager;
grant select (asked_at, state) on budget.model_call to case_manager;
grant execute on function budget.limit_of, budget.today, budget.lose_calls to case_manager;

-- What `switchyard budget show` reads.
grant execute on function budget.limit_of, budget.today to operator;
grant select on budget.money_limit, budget.tenant_day to operator;

do $$
declare
  agent text;
  calls_models boolean;
begin
  for agent, calls_models in
    select c.node, c.models from json_to_recordset(current_setting('switchyard.cards')::json) as c (node text, models boolean)
  loop
    execute format('revoke all on schema budget from %I', agent);
    execute format('revoke all on function budget.reserve, budget.close_call from %I', agent);
    if calls_models then
      execute format('grant usage on schema budget to %I', agent);
      execute format('grant execute on function budget.reserve, budget.close_call to %I', agent);
    end if;
  end loop;
end $$;
