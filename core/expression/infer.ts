import type { ASTNode } from '@marcbachmann/cel-js';
import { didYouMean } from './closest-name.ts';
import type { ExpressionFault } from './faults.ts';
import { functionNames, functionSignatures, methodNames, methodSignatures, type Signature } from './signatures.ts';
import {
  boolType,
  couldBe,
  doubleType,
  dyn,
  intType,
  isNumeric,
  join,
  listOf,
  mapOf,
  nameOf,
  nullType,
  numberType,
  objectOf,
  type StaticType,
  stringType,
} from './static-type.ts';
import { bindingOf, loopOf } from './syntax.ts';

export type Variables = ReadonlyMap<string, StaticType>;

/** Names the engine itself knows: types and namespaces. */
const engineNames = new Set(['string', 'bool', 'int', 'uint', 'double', 'map', 'list', 'bytes', 'null_type', 'type', 'google', 'cel', 'optional']);

/** Finds the type of an expression, and what is wrong in it whatever the data will be. Never guesses: what is not known is `dyn`. */
export class Inference {
  readonly faults: ExpressionFault[] = [];
  /** What a name that exists elsewhere needs, for example `item` outside of forEach. */
  readonly #absent: ReadonlyMap<string, string>;

  constructor(absent: ReadonlyMap<string, string>) {
    this.#absent = absent;
  }

  infer(node: ASTNode, variables: Variables): StaticType {
    switch (node.op) {
      case 'value':
        return typeOfLiteral(node.args);
      case 'id':
        return this.#variable(node, node.args, variables);
      case '.':
        return this.#field(node, this.infer(node.args[0], variables), node.args[1], textOfPath(node.args[0]));
      case '.?':
      case '[?]':
        this.infer(node.args[0], variables);
        return dyn;
      case '[]':
        return this.#index(node, node.args, variables);
      case 'call':
        return this.#call(node, node.args[0], node.args[1], variables);
      case 'rcall':
        return this.#method(node, variables);
      case 'list':
        return this.#list(node.args, variables);
      case 'map':
        return this.#map(node.args, variables);
      case '?:':
        return this.#ternary(node.args, variables);
      case '||':
      case '&&':
        for (const side of node.args) this.#expect(side, boolType, variables, `${node.op} joins booleans`);
        return boolType;
      case '!_':
        this.#expect(node.args, boolType, variables, '! negates a boolean');
        return boolType;
      case '-_':
        return this.#expect(node.args, numberType, variables, '- negates a number');
      case '==':
      case '!=':
        return this.#equality(node, node.args, variables);
      case '<':
      case '<=':
      case '>':
      case '>=':
        return this.#comparison(node, node.op, node.args, variables);
      case 'in':
        return this.#membership(node.args, variables);
      case '+':
      case '-':
      case '*':
      case '/':
      case '%':
        return this.#arithmetic(node, node.op, node.args, variables);
    }
  }

  #fault(node: ASTNode, message: string, suggestion?: string): StaticType {
    const fault = { message, start: node.start, end: node.end };
    this.faults.push(suggestion === undefined ? fault : { ...fault, suggestion });
    return dyn;
  }

  #variable(node: ASTNode, name: string, variables: Variables): StaticType {
    const type = variables.get(name);
    if (type !== undefined) return type;
    if (engineNames.has(name)) return dyn;
    const absent = this.#absent.get(name);
    if (absent !== undefined) return this.#fault(node, absent);
    return this.#fault(node, `nothing is named "${name}" here`, didYouMean(name, variables.keys()) ?? `known here: ${[...variables.keys()].join(', ')}`);
  }

  #field(node: ASTNode, type: StaticType, name: string, path: string): StaticType {
    if (type.kind === 'dyn' || type.kind === 'optional') return dyn;
    if (type.kind !== 'object') {
      const suggestion = type.kind === 'list' ? `take one element, as in ${path}[0].${name}, or all: ${path}.map(x, x.${name})` : undefined;
      return this.#fault(node, `${path} is ${nameOf(type)} and has no field "${name}"`, suggestion);
    }
    const field = type.fields.get(name);
    if (field !== undefined) return field;
    if (type.rest !== null) return type.rest;
    const known = [...type.fields.keys()];
    return this.#fault(node, `${path} has no field "${name}"`, didYouMean(name, known) ?? knownFields(known));
  }

  #index(node: ASTNode, [container, index]: [ASTNode, ASTNode], variables: Variables): StaticType {
    const type = this.infer(container, variables);
    if (index.op === 'value' && typeof index.args === 'string') return this.#field(node, type, index.args, textOfPath(container));
    const indexType = this.infer(index, variables);
    if (type.kind === 'list') {
      if (!couldBe(indexType, intType)) return this.#fault(index, `a list is indexed by an integer, not by ${nameOf(indexType)}`);
      return type.element;
    }
    if (type.kind === 'object') return [...type.fields.values()].reduce(join, type.rest ?? nullType);
    if (type.kind === 'dyn' || type.kind === 'optional') return dyn;
    return this.#fault(node, `${nameOf(type)} cannot be indexed`);
  }

  #call(node: ASTNode, name: string, parameters: ASTNode[], variables: Variables): StaticType {
    if (name === 'has') {
      const [argument] = parameters;
      if (argument !== undefined) this.infer(argument, variables);
      return boolType;
    }
    const types = parameters.map((parameter) => this.infer(parameter, variables));
    const signatures = functionSignatures(name);
    if (signatures.length === 0) {
      const method = methodSignatures(name).length > 0 ? `write it behind its value, as in x.${name}(…)` : undefined;
      return this.#fault(node, `there is no function "${name}"`, didYouMean(name, functionNames()) ?? method);
    }
    return this.#overload(node, name, signatures, null, types) ?? refine(name, types);
  }

  #method(node: ASTNode, variables: Variables): StaticType {
    if (node.op !== 'rcall') return dyn;
    const loop = loopOf(node);
    if (loop !== undefined) return this.#loop(node, loop, variables);
    const binding = bindingOf(node);
    if (binding !== undefined) {
      const value = this.infer(binding.value, variables);
      return this.infer(binding.body, new Map(variables).set(binding.variable, value));
    }
    const [name, receiver, parameters] = node.args;
    if (receiver.op === 'id' && receiver.args === 'optional') return { kind: 'optional' };
    const receiverType = this.infer(receiver, variables);
    const types = parameters.map((parameter) => this.infer(parameter, variables));
    const signatures = methodSignatures(name);
    if (signatures.length === 0) {
      const asFunction =
        functionSignatures(name).length > 0 ? `write it as a function: ${name}(${textOfPath(receiver)}${parameters.length > 0 ? ', …' : ''})` : undefined;
      return this.#fault(node, `there is no method "${name}"`, asFunction ?? didYouMean(name, methodNames()));
    }
    return this.#overload(node, name, signatures, receiverType, types) ?? dyn;
  }

  /** The result of the overloads that fit; undefined leaves the refinement to the caller. */
  #overload(node: ASTNode, name: string, signatures: Signature[], receiver: StaticType | null, types: StaticType[]): StaticType | undefined {
    const fitting = signatures.filter(
      (signature) =>
        signature.parameters.length === types.length &&
        (receiver === null || signature.receiver === null || couldBe(receiver, signature.receiver)) &&
        signature.parameters.every((parameter, index) => couldBe(types[index] ?? dyn, parameter)),
    );
    if (fitting.length === 0) {
      const given = [...(receiver === null ? [] : [`${nameOf(receiver)}.`]), `${name}(${types.map(nameOf).join(', ')})`].join('');
      return this.#fault(
        node,
        `${given} does not exist`,
        `it is ${signatures.map(({ text }) => text.replaceAll('<dyn>', '').replaceAll('<dyn, dyn>', '')).join(' or ')}`,
      );
    }
    const result = fitting.map((signature) => signature.result).reduce(join);
    return isVague(result) ? undefined : result;
  }

  #loop(node: ASTNode, loop: NonNullable<ReturnType<typeof loopOf>>, variables: Variables): StaticType {
    const receiver = this.infer(loop.receiver, variables);
    const element = this.#elementOf(loop.receiver, receiver);
    const inner = new Map(variables).set(loop.variable, element);
    const name = node.op === 'rcall' ? node.args[0] : '';
    const [first, second] = loop.body;
    if (name === 'map') {
      if (second === undefined || first === undefined) return listOf(first === undefined ? dyn : this.infer(first, inner));
      this.#expect(first, boolType, inner, 'the filter of map(…) is a boolean');
      return listOf(this.infer(second, inner));
    }
    if (first !== undefined) this.#expect(first, boolType, inner, `${name}(…) asks for a boolean`);
    return name === 'filter' ? listOf(element) : boolType;
  }

  #elementOf(node: ASTNode, type: StaticType): StaticType {
    if (type.kind === 'list') return type.element;
    if (type.kind === 'object') return stringType;
    if (type.kind === 'dyn') return dyn;
    return this.#fault(node, `${nameOf(type)} has no elements to go through`);
  }

  #list(items: ASTNode[], variables: Variables): StaticType {
    const types = items.map((item) => this.infer(item, variables));
    return listOf(types.length === 0 ? dyn : types.reduce(join));
  }

  #map(entries: [ASTNode, ASTNode][], variables: Variables): StaticType {
    const fields: Record<string, StaticType> = {};
    let literal = true;
    for (const [key, value] of entries) {
      const type = this.infer(value, variables);
      if (key.op === 'value' && typeof key.args === 'string') fields[key.args] = type;
      else {
        literal = false;
        this.infer(key, variables);
      }
    }
    return literal ? objectOf(fields) : mapOf(dyn);
  }

  #ternary([condition, yes, no]: [ASTNode, ASTNode, ASTNode], variables: Variables): StaticType {
    this.#expect(condition, boolType, variables, 'the condition before ? is a boolean');
    return join(this.infer(yes, variables), this.infer(no, variables));
  }

  #expect(node: ASTNode, wanted: StaticType, variables: Variables, rule: string): StaticType {
    const type = this.infer(node, variables);
    if (couldBe(type, wanted)) return type;
    return this.#fault(node, `${rule}, and this is ${nameOf(type)}`);
  }

  #equality(node: ASTNode, [left, right]: [ASTNode, ASTNode], variables: Variables): StaticType {
    const a = this.infer(left, variables);
    const b = this.infer(right, variables);
    if (isScalar(a) && isScalar(b) && !couldBe(a, b)) this.#fault(node, `${nameOf(a)} is compared with ${nameOf(b)}: they are never equal`);
    return boolType;
  }

  #comparison(node: ASTNode, operator: string, [left, right]: [ASTNode, ASTNode], variables: Variables): StaticType {
    const a = this.infer(left, variables);
    const b = this.infer(right, variables);
    const comparable = (type: StaticType): boolean => type.kind === 'dyn' || isNumeric(type) || ['string', 'bool', 'timestamp', 'duration'].includes(type.kind);
    const same = couldBe(a, b) || (isNumeric(a) && isNumeric(b));
    if (!comparable(a) || !comparable(b) || !same) this.#fault(node, `${nameOf(a)} ${operator} ${nameOf(b)} cannot be compared`);
    return boolType;
  }

  #membership([element, container]: [ASTNode, ASTNode], variables: Variables): StaticType {
    this.infer(element, variables);
    const type = this.infer(container, variables);
    if (type.kind !== 'dyn' && type.kind !== 'list' && type.kind !== 'object')
      this.#fault(container, `in looks into a list or an object, and this is ${nameOf(type)}`);
    return boolType;
  }

  #arithmetic(node: ASTNode, operator: string, [left, right]: [ASTNode, ASTNode], variables: Variables): StaticType {
    const a = this.infer(left, variables);
    const b = this.infer(right, variables);
    if (a.kind === 'dyn' || b.kind === 'dyn') return dyn;
    if (isNumeric(a) && isNumeric(b))
      return operator === '%' && (a.kind === 'double' || b.kind === 'double') ? this.#fault(node, '% works on integers') : numericResult(a, b);
    if (operator === '+' && a.kind === b.kind && (a.kind === 'string' || a.kind === 'list' || a.kind === 'bytes')) return join(a, b);
    if (isTime(a) && isTime(b) && (operator === '+' || operator === '-')) return dyn;
    const text = operator === '+' && (a.kind === 'string' || b.kind === 'string');
    return this.#fault(node, `${nameOf(a)} ${operator} ${nameOf(b)} does not exist`, text ? 'turn the other side into text with string(…)' : undefined);
  }
}

function isVague(type: StaticType): boolean {
  return type.kind === 'dyn' || (type.kind === 'list' && type.element.kind === 'dyn') || (type.kind === 'object' && type.fields.size === 0);
}

/** Results of our own functions, more exact than their signatures can say. */
function refine(name: string, [first]: StaticType[]): StaticType {
  const element = first?.kind === 'list' ? first.element : dyn;
  switch (name) {
    case 'sort':
    case 'sortBy':
    case 'distinct':
      return listOf(element);
    case 'flatten':
      return listOf(element.kind === 'list' ? element.element : dyn);
    case 'groupBy':
      return mapOf(listOf(element));
    case 'sum':
      return isNumeric(element) ? element : numberType;
    default:
      return dyn;
  }
}

function isScalar(type: StaticType): boolean {
  return isNumeric(type) || type.kind === 'string' || type.kind === 'bool';
}

function isTime(type: StaticType): boolean {
  return type.kind === 'timestamp' || type.kind === 'duration';
}

function numericResult(a: StaticType, b: StaticType): StaticType {
  if (a.kind === 'int' && b.kind === 'int') return intType;
  return a.kind === 'double' || b.kind === 'double' ? doubleType : numberType;
}

function typeOfLiteral(value: unknown): StaticType {
  switch (typeof value) {
    case 'string':
      return stringType;
    case 'boolean':
      return boolType;
    case 'bigint':
      return intType;
    case 'number':
      return doubleType;
    default:
      if (value === null) return nullType;
      return value instanceof Uint8Array ? { kind: 'bytes' } : dyn;
  }
}

function knownFields(known: string[]): string | undefined {
  if (known.length === 0) return 'it has no fields';
  return known.length <= 20 ? `known: ${known.join(', ')}` : undefined;
}

/** The source of a node, for messages. */
function textOfPath(node: ASTNode): string {
  return node.input.slice(node.start, node.end);
}
