/**
 * Answers of EC2 as they look on the wire.
 *
 * @module
 */

/** An instance to describe. */
export interface InstanceFields {
  readonly id: string;
  readonly state: string;
  readonly name?: string;
  readonly reason?: string;
}

const STATE_CODES: Readonly<Record<string, number>> = {
  pending: 0,
  running: 16,
  "shutting-down": 32,
  terminated: 48,
  stopping: 64,
  stopped: 80,
};

const xml = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const state = (name: string) => `<code>${STATE_CODES[name]}</code><name>${name}</name>`;

function instanceItem({ id, state: name, name: tag, reason }: InstanceFields): string {
  return `<item>
    <instanceId>${id}</instanceId>
    <imageId>ami-0123456789abcdef0</imageId>
    <instanceState>${state(name)}</instanceState>
    <privateDnsName>ip-10-20-1-17.eu-west-1.compute.internal</privateDnsName>
    <instanceType>t4g.nano</instanceType>
    <launchTime>2025-03-14T15:09:26.000Z</launchTime>
    <placement><availabilityZone>eu-west-1b</availabilityZone><tenancy>default</tenancy></placement>
    <privateIpAddress>10.20.1.17</privateIpAddress>
    ${
    reason
      ? `<stateReason><code>Server.X</code><message>${xml(reason)}</message></stateReason>`
      : ""
  }
    <blockDeviceMapping/>
    <tagSet>
      <item><key>Team</key><value>payments</value></item>
      ${tag === undefined ? "" : `<item><key>Name</key><value>${xml(tag)}</value></item>`}
    </tagSet>
    <platformDetails>Linux/UNIX</platformDetails>
  </item>`;
}

/** One reservation per instance, as EC2 lists instances that were launched apart. */
export function describeInstancesXml(instances: InstanceFields[], nextToken?: string): Response {
  const reservations = instances.map((instance) =>
    `<item><reservationId>r-0123456789abcdef0</reservationId><ownerId>111122223333</ownerId>
     <groupSet/><instancesSet>${instanceItem(instance)}</instancesSet></item>`
  );
  return respond(`<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>8f7724cf-496f-496e-8fe3-example01</requestId>
    ${
    reservations.length > 0
      ? `<reservationSet>${reservations.join("")}</reservationSet>`
      : "<reservationSet/>"
  }
    ${nextToken === undefined ? "" : `<nextToken>${nextToken}</nextToken>`}
  </DescribeInstancesResponse>`);
}

/** Answer of StartInstances and StopInstances. */
export function stateChangeXml(
  operation: string,
  changes: { id: string; previous: string; current: string }[],
): Response {
  const items = changes.map(({ id, previous, current }) =>
    `<item><instanceId>${id}</instanceId><currentState>${state(current)}</currentState>
     <previousState>${state(previous)}</previousState></item>`
  );
  return respond(`<${operation}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>59dbff89-35bd-4eac-99ed-example02</requestId>
    <instancesSet>${items.join("")}</instancesSet>
  </${operation}Response>`);
}

/** An error answer. */
export function errorXml(code: string, message: string, status = 400): Response {
  return respond(
    `<Response><Errors><Error><Code>${code}</Code><Message>${
      xml(message)
    }</Message></Error></Errors>
     <RequestID>0f8b3c1d-5e6f-4a7b-8c9d-example03</RequestID></Response>`,
    status,
  );
}

function respond(body: string, status = 200): Response {
  return new Response(`<?xml version="1.0" encoding="UTF-8"?>\n${body}`, {
    status,
    headers: { "content-type": "text/xml;charset=UTF-8" },
  });
}
