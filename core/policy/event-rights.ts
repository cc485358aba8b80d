import { type EventTopic, type EventType, topicOf } from '#schemas/event.ts';
import { can } from './can.ts';
import type { Permission } from './permissions.ts';
import type { Principal } from './principal.ts';

const permissionOf: Record<EventTopic, Permission> = {
  run: 'runs:read',
  step: 'runs:read',
  signal: 'runs:read',
  starts: 'runs:read',
  approval: 'approvals:read',
  schedule: 'schedules:read',
  trigger: 'triggers:read',
  plan: 'plans:read',
};

/** Whether somebody may read events of a type; of their workspace, which row security sees to. */
export const mayReadEvent = (principal: Principal, type: EventType): boolean => can(principal, permissionOf[topicOf(type)]);
