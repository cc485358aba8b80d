import { expect, it } from 'vitest';
import { eventTopics, eventTypes, streamTopics, topicOf } from '#schemas/event.ts';
import { mayReadDeltas, mayReadEvent, mayReadTopic } from './event-rights.ts';
import { type Permission, permissionsOf } from './permissions.ts';
import type { Principal } from './principal.ts';

function holderOf(...scopes: Permission[]): Principal {
  const rights = { via: 'api_key', scopes, roles: ['owner'], installationRole: null } as const;
  return { ...rights, principalId: 'prn_1', credentialId: 'key_1', workspaceId: 'ws_1', permissions: permissionsOf(rights) } as unknown as Principal;
}

const readableBy = (principal: Principal): Set<string> => new Set(eventTypes.filter((type) => mayReadEvent(principal, type)).map(topicOf));

it('gives each topic to who may read what it is about', () => {
  expect(readableBy(holderOf('runs:read'))).toEqual(new Set(['run', 'step', 'signal', 'starts']));
  expect(readableBy(holderOf('approvals:read', 'plans:read'))).toEqual(new Set(['approval', 'plan']));
  expect(readableBy(holderOf('schedules:read', 'triggers:read'))).toEqual(new Set(['schedule', 'trigger']));
  expect(readableBy(holderOf())).toEqual(new Set());
});

it('gives the text of models, as it comes, to who may read it afterwards', () => {
  expect([holderOf('runs:read'), holderOf('approvals:read', 'plans:read'), holderOf()].map(mayReadDeltas)).toEqual([true, false, false]);
});

it('says of which topics there is anything for a reader', () => {
  const topicsOf = (...scopes: Permission[]): string[] => streamTopics.filter((topic) => mayReadTopic(holderOf(...scopes), topic));
  expect(topicsOf('runs:read')).toEqual(['run', 'step', 'signal', 'starts', 'model']);
  expect(topicsOf('plans:read')).toEqual(['plan']);
});

it('knows the topic of every type', () => {
  expect(new Set(eventTypes.map(topicOf))).toEqual(new Set(eventTopics));
});
