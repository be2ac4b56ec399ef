/** Budgets in words and figures: of a session, beside its prompts and facts, and of everybody, for operators. */
import type { Budget, BudgetPeriod } from "@farhand/protocol";
import { formatCount, plural } from "./format.js";

/** From here on people are warned, in hundredths. */
export const WARN_PERCENT = 80;

interface Part {
  limit: number;
  spent: number;
  text(amount: number): string;
}

const hasPeriod = (budget: Budget): boolean =>
  budget.moneyMicroDollars !== undefined || budget.tokens !== undefined;

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

/** In which time a budget is spent; nothing where it is not about spending. */
export function periodOf(budget: Budget): BudgetPeriod | undefined {
  return hasPeriod(budget) ? budget.period : undefined;
}

/** `$4.10 of $5.00, 30 minutes for a turn`. */
export function limitText(budget: Budget): string {
  const parts = partsOf(budget).map(({ limit, spent, text }) => `${text(spent)} of ${text(limit)}`);
  if (budget.turnMs !== undefined) parts.push(`${Math.ceil(budget.turnMs / 60_000)} minutes for a turn`);
  return parts.join(", ");
}

/** `at most 3 sessions and 5 sandboxes at once`; nothing where neither is limited. */
export function atOnceText({ sessions, sandboxes }: Budget): string {
  const parts: string[] = [];
  if (sessions !== undefined) parts.push(plural(sessions.max, "session", "sessions"));
  if (sandboxes !== undefined) parts.push(plural(sandboxes.max, "sandbox", "sandboxes"));
  return parts.length === 0 ? "" : `at most ${parts.join(" and ")} at once`;
}

/** `2 of 3 sessions at work, 5 of 5 sandboxes in use`; nothing where neither is limited. */
export function takenText({ sessions, sandboxes }: Budget): string {
  const parts: string[] = [];
  if (sessions !== undefined) parts.push(`${sessions.taken} of ${sessions.max} sessions at work`);
  if (sandboxes !== undefined) parts.push(`${sandboxes.taken} of ${sandboxes.max} sandboxes in use`);
  return parts.join(", ");
}

/** Whether as many work as may at once, so that the next prompt waits. */
export function isFull({ sessions, sandboxes }: Budget): boolean {
  return [sessions, sandboxes].some((one) => one !== undefined && one.taken >= one.max);
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
