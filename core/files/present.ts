import type { RuleTool } from '#core/approval/rules.ts';
import type { ApprovalRule } from '#schemas/approval-rule.ts';
import type { Channel } from '#schemas/channel.ts';
import type { JsonObject } from '#schemas/json.ts';
import type { Invitation, Member } from '#schemas/people.ts';
import type { PlanSummary } from '#schemas/plan-version.ts';
import type { Schedule } from '#schemas/schedule.ts';
import type { WorkspaceSettings } from '#schemas/settings.ts';
import type { Trigger } from '#schemas/trigger.ts';
import type { Webhook } from '#schemas/webhook.ts';

/** What a workspace is, as far as files are compared with it; by name, what was not asked for left empty. */
export interface Present {
  settings: WorkspaceSettings | null;
  plans: ReadonlyMap<string, Pick<PlanSummary, 'name' | 'version' | 'digest'>>;
  /** Of saved plans that matter here, by the reference under which they were asked for. */
  documents: ReadonlyMap<string, JsonObject>;
  schedules: ReadonlyMap<string, Schedule>;
  triggers: ReadonlyMap<string, Trigger>;
  webhooks: ReadonlyMap<string, Webhook>;
  channels: ReadonlyMap<string, Channel>;
  rules: ReadonlyMap<string, ApprovalRule>;
  /** What rules may be about. */
  tools: readonly RuleTool[];
  members: readonly Member[];
  /** By login: those that can still be accepted. */
  invitations: ReadonlyMap<string, Invitation>;
}
