/** Budgets in words and figures: of a session, beside its prompts and facts, and of everybody, for operators. */
import type { Budget } from "@farhand/protocol";
import { formatCount } from "./format.js";

/** From here on people are warned, in hundredths. */
export const WARN_PERCENT = 80;

interface Part {
  limit: number;
  spent: number;
  text(amount: number): string;
}

/** `$1.50`; rounded up, because nothing is not spent. */
export function moneyText(microDollars: number): string {
  return `$${(Math.ceil(microDollars / 10_000) / 100).toFixed(2)}`;
}

function partsOf(budget: Budget): Part[] {
  const parts: Part[] = [];
  if (budget.moneyMicroDollars !== undefined)
    parts.push({ limit: budget.moneyMicroDollars, spent: budget.spentMicroDollars, text: moneyText });
  if (budget.tokens !== undefined)
    parts.push({
      limit: budget.tokens,
      spent: budget.spentTokens,
      text: (count) => `${formatCount(count)} tokens`,
    });
  return parts;
}

const percentOf = ({ limit, spent }: Part): number => Math.floor((spent * 100) / Math.max(limit, 1));

/** How much of a budget is spent, in hundredths: of its money or its tokens, whichever is more. */
export function percentSpent(budget: Budget): number {
  return Math.max(0, ...partsOf(budget).map(percentOf));
}

/** The budget of which most is spent. */
export function worstOf(budgets: readonly Budget[]): { budget: Budget; percent: number } | undefined {
  const all = budgets.map((budget) => ({ budget, percent: percentSpent(budget) }));
  return all.reduce<{ budget: Budget; percent: number } | undefined>(
    (worst, one) => (worst === undefined || one.percent > worst.percent ? one : worst),
    undefined,
  );
}

/** `$4.10 of $5.00, 30 minutes for a turn`. */
export function limitText(budget: Budget): string {
  const parts = partsOf(budget).map(({ limit, spent, text }) => `${text(spent)} of ${text(limit)}`);
  if (budget.turnMs !== undefined) parts.push(`${Math.ceil(budget.turnMs / 60_000)} minutes for a turn`);
  return parts.join(", ");
}

/** Whose budget it is, as people say it. */
export function budgetName(budget: Budget): string {
  const time = { life: "", day: " for today", month: " for this month", unknown: "" }[budget.period];
  const whose = {
    session: "of this session",
    user: "of whose prompt runs",
    repository: `of ${budget.subject}`,
    organisation: "of everybody here",
    unknown: "that counts here",
  }[budget.scope];
  return `The budget ${whose}${time}`;
}
