import { type EventTopic, type EventType, type StreamTopic, topicOf } from '#schemas/event.ts';
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

/** Whether somebody may read the text of model calls as it comes: as much as they may read it afterwards, in the outputs of steps. */
export const mayReadDeltas = (principal: Principal): boolean => can(principal, 'runs:read');

/** Whether anything of a topic is for them. */
export const mayReadTopic = (principal: Principal, topic: StreamTopic): boolean =>
  topic === 'model' ? mayReadDeltas(principal) : can(principal, permissionOf[topic]);
