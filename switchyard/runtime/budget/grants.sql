-- Nobody but the ledger's own functions changes what was spent. The case manager sets limits and reports thresholds.
revoke all on all tables in schema budget from case_manager, operator;
grant usage on schema budget to case_manager, operator;
grant select, insert, update on budget.spending_limit to case_manager;
grant select on budget.due_reports, budget.tenant_day to case_manager;
grant update (reported) on budget.tenant_day to case_manager;
grant delete on budget.tenant_day, budget.case_spending, budget.model_call to case_manager;
grant select (last_day) on budget.case_spending to case_manager;
grant select (asked_at, state) on budget.model_call to case_manager;
grant execute on function budget.limit_of, budget.lose_calls to case_manager;

-- What `switchyard budget show` reads.
grant select on budget.spending_limit, budget.tenant_day, budget.model_quota, budget.model_call to operator;

do $$
declare
  agent text;
begin
  foreach agent in array string_to_array(current_setting('switchyard.agents'), ',') loop
    execute format('revoke all on all tables in schema budget from %I', agent);
    execute format('grant usage on schema budget to %I', agent);
    execute format('grant execute on function budget.reserve, budget.close_call to %I', agent);
  end loop;
end $$;
