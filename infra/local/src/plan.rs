//! `portal-local plan`: sets a tenant's plan.

use anyhow::Result;
use api::Clock;

use crate::cli::SetPlan;

pub(crate) async fn plan(args: SetPlan) -> Result<()> {
    let (tenant, plan) = (&args.tenant, args.plan);
    args.reach
        .with_table(async |table| Ok(table.set_plan(tenant, plan, Clock::System.now()).await?))
        .await?;
    println!("{tenant} is on the {plan} plan");
    Ok(())
}
