// Configures an account by a command on Kafka, and prints the reply.
//
// All that it knows of the bus is in two folders: the JSON Schemas and the samples of portfolio-bus. Any command can be
// sent in the same way: take its sample, put in what is yours, let its schema say whether that is well-formed.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { Kafka, Partitioners, logLevel } from 'kafkajs';

const { KAFKA, CLIENT_ID, ACCOUNT_ID, ALLOCATION_ID, CONTRACTS } = process.env;
const PREFIX = process.env.TOPIC_PREFIX ?? ''; // what the installation puts before its topics
const TIMES = Number(process.env.TIMES ?? 1); // a repetition changes nothing, and is answered like the first
const SECONDS = 30;

const json = (folder, type) => JSON.parse(readFileSync(join(CONTRACTS, folder, `${type}.json`), 'utf8'));
const ajv = addFormats(new Ajv({ strict: false }));

function checked(type, body) {
  const valid = ajv.getSchema(`urn:portfolio-bus:v1:${type}`) ?? ajv.compile(json('schemas', type));
  if (!valid(body)) throw new Error(`this is no ${type}: ${ajv.errorsText(valid.errors)}`);
  return body;
}

// The record of a command, made from its sample.
function commandRecord(type, fields) {
  const { headers, body } = json('samples', type);
  const schema = json('schemas', type);
  const asked = checked(type, { ...body, ...fields });
  const key = asked[schema['x-key']];
  const own = {
    ce_id: randomUUID(),
    ce_source: '/upstream-in-node',
    ce_time: new Date().toISOString(),
    ce_subject: key,
    ce_clientid: CLIENT_ID,
  };
  delete headers.traceparent;
  delete headers.ce_correlationid;
  return { topic: schema['x-topic'], key, headers: { ...headers, ...own }, value: JSON.stringify(asked) };
}

// kafkajs gives headers as buffers.
const texts = (headers) => Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, String(value)]));

function isReplyTo(command, headers, reply) {
  return (
    headers.ce_clientid === command.headers.ce_clientid &&
    reply.command_id === command.headers.ce_id &&
    reply.command_source === command.headers.ce_source
  );
}

const kafka = new Kafka({ brokers: KAFKA.split(','), clientId: 'upstream-in-node', logLevel: logLevel.ERROR });
const producer = kafka.producer({ idempotent: true, createPartitioner: Partitioners.DefaultPartitioner });
const consumer = kafka.consumer({ groupId: `upstream-in-node-${randomUUID()}` });

const command = commandRecord('CreateConfiguration', { account_id: ACCOUNT_ID, allocation_id: ALLOCATION_ID });
const replies = json('schemas', 'CommandAccepted')['x-topic'];

await Promise.all([producer.connect(), consumer.connect()]);
// A new group that began at the end might begin behind the reply. A service keeps its group, and reads on where it was.
await consumer.subscribe({ topic: PREFIX + replies, fromBeginning: true });

const answered = new Promise((resolve, reject) => {
  const late = setTimeout(() => reject(new Error(`no reply within ${SECONDS} s`)), SECONDS * 1000);
  let found = 0;
  consumer.run({
    eachMessage: async ({ message }) => {
      const headers = texts(message.headers);
      const reply = JSON.parse(message.value);
      if (!isReplyTo(command, headers, reply)) return;
      checked(headers.ce_type, reply);
      console.log(JSON.stringify({ type: headers.ce_type, id: headers.ce_id, body: reply }));
      found += 1;
      if (found === TIMES) resolve(clearTimeout(late));
    },
  });
});

for (let time = 0; time < TIMES; time += 1) {
  const { topic, ...message } = command;
  await producer.send({ topic: PREFIX + topic, messages: [message] });
}
try {
  await answered;
} finally {
  await Promise.all([producer.disconnect(), consumer.disconnect()]);
}
