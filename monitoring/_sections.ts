/**
 * What Grafana's dashboard shows, and the queries for it.
 *
 * @module
 */
import { chart, type Section, stat } from "./_panels.ts";

const GROUP_LABELS = "messaging_destination_name, messaging_consumer_group_name";
/** The legend of a series by type and group. */
const GROUP = "{{messaging_consumer_group_name}} ← {{messaging_destination_name}}";
const TYPE = "{{messaging_destination_name}}";
const ofType = `messaging_destination_name=~"$type"`;
const ofGroup = `${ofType}, messaging_consumer_group_name=~"$group"`;

/** A gauge of groups. Each process reports the same, so the maximum is the value. */
const groupMax = (metric: string) => `max by (${GROUP_LABELS}) (${metric}{${ofGroup}})`;
/** A gauge of partitions, by these labels and the partition. */
const partitionMax = (metric: string, selector: string, labels: string) =>
  `max by (${labels}, tidings_partition) (${metric}{${selector}})`;
/** How often something happened to events of a group, in all processes together. */
const groupRate = (total: string) => `sum by (${GROUP_LABELS}) (rate(${total}{${ofGroup}}[$__rate_interval]))`;
const quantile = (share: number, by: string, histogram: string, selector: string) =>
  `histogram_quantile(${share}, sum by (${by}, le) (rate(${histogram}_bucket{${selector}}[$__rate_interval])))`;

/** The share of the selected attempts in all attempts of a group. */
function quotient(total: string, selector: string): string {
  const rate = (labels: string) => `sum by (${GROUP_LABELS}) (rate(${total}{${labels}}[$__rate_interval]))`;
  return `${rate(selector)} / ${rate(ofGroup)}`;
}

/** What the dashboard shows, from top to bottom. */
export const SECTIONS: readonly Section[] = [
  {
    title: "Now",
    panels: [
      stat({
        title: "Alerts",
        description: "Alerts of monitoring/rules.yml that fire. docs/MONITORING.md says what to do at each.",
        queries: [[`count(ALERTS{alertname=~"Tidings.*", alertstate="firing"}) or vector(0)`, "firing"]],
      }),
      stat({
        title: "Processes without a store",
        description: "Processes whose store does not answer, or takes no events.",
        queries: [["sum(tidings_store_up == bool 0)", "processes"]],
      }),
      stat({
        title: "Processes not ready",
        description: "Processes in which broker.health() finds a problem. The readiness endpoint names it.",
        queries: [["sum(tidings_broker_ready == bool 0)", "processes"]],
      }),
      stat({
        title: "Groups without a consumer",
        description: "Groups with unread events and no consumer that is alive.",
        queries: [[
          `sum((${groupMax("tidings_group_consumers")} == bool 0) * (${groupMax("tidings_group_lag")} > bool 0))`,
          "groups",
        ]],
      }),
      stat({
        title: "Oldest event that waits",
        description: "How long the oldest unsettled event has waited, of all groups. Red from 10 minutes on.",
        queries: [[`max(tidings_group_oldest_age_seconds{${ofGroup}})`, "age"]],
        unit: "s",
        badFrom: 600,
      }),
      stat({
        title: "Dead letters",
        description: "Events that groups have given up. They stay until they are redriven or discarded.",
        queries: [[`sum(${groupMax("tidings_dead_letters")})`, "dead letters"]],
      }),
    ],
  },
  {
    title: "Traffic",
    panels: [
      chart({
        title: "Published",
        description: "Events per second that the store has taken from publishers.",
        queries: [[
          `sum by (messaging_destination_name) (rate(tidings_events_published_total{${ofType}}[$__rate_interval]))`,
          TYPE,
        ]],
        unit: "ops",
      }),
      chart({
        title: "Handled",
        description: "Events per second that groups have acknowledged. It must not be zero while events wait.",
        queries: [[groupRate("tidings_events_handled_total"), GROUP]],
        unit: "ops",
      }),
    ],
  },
  {
    title: "Groups that are behind",
    panels: [
      chart({
        title: "Lag",
        description: "Events that a group has not read. It may be high for a while; it must not keep growing.",
        queries: [[groupMax("tidings_group_lag"), GROUP]],
      }),
      chart({
        title: "Age of the oldest unsettled event",
        description: "How far behind a group is in time. A line with a slope of one: the group does nothing at all.",
        queries: [[groupMax("tidings_group_oldest_age_seconds"), GROUP]],
        unit: "s",
      }),
      chart({
        title: "Read, but not settled",
        description:
          "In flight: consumers hold them. Retrying: they wait for the next attempt. Deferred: they wait for a consumer that knows their version. Waiting: behind a dead letter of their key.",
        queries: [
          [groupMax("tidings_group_in_flight"), `in flight: ${GROUP}`],
          [groupMax("tidings_group_retrying"), `retrying: ${GROUP}`],
          [groupMax("tidings_group_deferred"), `deferred: ${GROUP}`],
          [groupMax("tidings_group_waiting"), `waiting: ${GROUP}`],
        ],
      }),
      chart({
        title: "Consumers",
        description: "Consumers of each group that are alive.",
        queries: [[groupMax("tidings_group_consumers"), GROUP]],
      }),
    ],
  },
  {
    title: "Times",
    panels: [
      chart({
        title: "Handlers",
        description: "How long half of the attempts took at most, and 99 of 100.",
        queries: [0.5, 0.99].map((share) => [
          quantile(share, GROUP_LABELS, "messaging_process_duration_seconds", ofGroup),
          `p${share * 100}: ${GROUP}`,
        ]),
        unit: "s",
      }),
      chart({
        title: "From publish to handled",
        description:
          "How long half of the events took from the store's receipt to the end of a handler, and 99 of 100.",
        queries: [0.5, 0.99].map((share) => [
          quantile(share, GROUP_LABELS, "tidings_event_latency_seconds", ofGroup),
          `p${share * 100}: ${GROUP}`,
        ]),
        unit: "s",
      }),
      chart({
        title: "Publishing",
        description: "How long half of the calls of publish() took, and 99 of 100: the store's part of the time.",
        queries: [0.5, 0.99].map((share) => [
          quantile(
            share,
            "messaging_destination_name",
            "messaging_client_operation_duration_seconds",
            `messaging_operation_name="send", ${ofType}`,
          ),
          `p${share * 100}: ${TYPE}`,
        ]),
        unit: "s",
      }),
      chart({
        title: "Settling",
        description: "How long the store took to note the outcomes of attempts.",
        queries: [0.5, 0.99].map((share) => [
          quantile(
            share,
            GROUP_LABELS,
            "messaging_client_operation_duration_seconds",
            `messaging_operation_name="settle", ${ofGroup}`,
          ),
          `p${share * 100}: ${GROUP}`,
        ]),
        unit: "s",
      }),
    ],
  },
  {
    title: "Failures",
    panels: [
      chart({
        title: "Failed attempts by error",
        description: "Failed attempts per second, by the class of the error.",
        queries: [[
          `sum by (error_type, messaging_consumer_group_name) (rate(tidings_events_failed_total{${ofGroup}}[$__rate_interval]))`,
          "{{error_type}} in {{messaging_consumer_group_name}}",
        ]],
        unit: "ops",
      }),
      chart({
        title: "Share of attempts that failed",
        description: "From 50 % on, TidingsAttemptsFail fires.",
        queries: [[
          quotient("messaging_process_duration_seconds_count", `tidings_delivery_outcome=~"retry|dead", ${ofGroup}`),
          GROUP,
        ]],
        unit: "percentunit",
      }),
      chart({
        title: "Dead letters",
        description: "Dead letters of each group. Growth matters, not the number: old letters wait for a decision.",
        queries: [[groupMax("tidings_dead_letters"), GROUP]],
      }),
      chart({
        title: "Age of the oldest dead letter",
        description: "How long the oldest letter has waited to be redriven or discarded.",
        queries: [[groupMax("tidings_dead_letters_oldest_age_seconds"), GROUP]],
        unit: "s",
      }),
      chart({
        title: "Held keys",
        description: "Keys whose events wait until a dead letter is redriven or discarded: whenDead is hold-key.",
        queries: [[groupMax("tidings_group_held_keys"), GROUP]],
      }),
      chart({
        title: "New dead letters by reason",
        description: "Events that were given up in the last 5 minutes, and why.",
        queries: [[
          `sum by (tidings_dead_letter_reason, messaging_consumer_group_name) (increase(tidings_events_dead_lettered_total{${ofGroup}}[5m]))`,
          "{{tidings_dead_letter_reason}} in {{messaging_consumer_group_name}}",
        ]],
      }),
      chart({
        title: "Retried, redriven, discarded",
        description: "Retried: an attempt failed and the event comes again. Redriven: a dead letter was returned.",
        queries: [
          [groupRate("tidings_events_retried_total"), `retried: ${GROUP}`],
          [groupRate("tidings_events_redriven_total"), `redriven: ${GROUP}`],
          [groupRate("tidings_events_discarded_total"), `discarded: ${GROUP}`],
        ],
        unit: "ops",
      }),
    ],
  },
  {
    title: "Losses and recoveries",
    panels: [
      chart({
        title: "Leases lost, deliveries recovered",
        description: "Recovered: a consumer died, and others got its events. Lost: a consumer lived, but was too slow.",
        queries: [
          [`sum by (${GROUP_LABELS}) (increase(tidings_leases_lost_total{${ofGroup}}[5m]))`, `lost: ${GROUP}`],
          [
            `sum by (${GROUP_LABELS}) (increase(tidings_events_recovered_total{${ofGroup}}[5m]))`,
            `recovered: ${GROUP}`,
          ],
        ],
      }),
      chart({
        title: "Groups and events lost",
        description: "Each of them needs a person. See the alerts TidingsGroupLost and TidingsEventsLost.",
        queries: [
          [`sum by (${GROUP_LABELS}) (increase(tidings_groups_lost_total{${ofGroup}}[5m]))`, `groups: ${GROUP}`],
          [`sum by (${GROUP_LABELS}) (increase(tidings_events_lost_total{${ofGroup}}[5m]))`, `events: ${GROUP}`],
        ],
      }),
      chart({
        title: "Failed attempts to reach the store",
        description: "Per second and process. A few at a failover are normal.",
        queries: [[
          "sum by (job, instance) (rate(tidings_store_reconnects_total[$__rate_interval]))",
          "{{job}} {{instance}}",
        ]],
        unit: "ops",
      }),
    ],
  },
  {
    title: "Partitions",
    panels: [
      chart({
        title: "Lag by partition",
        description:
          "Unread events in each partition. One that is far above the others has a hot subject or a slow consumer.",
        queries: [[partitionMax("tidings_partition_lag", ofGroup, GROUP_LABELS), `${GROUP} #{{tidings_partition}}`]],
      }),
      chart({
        title: "Length by partition",
        description: "Events that each partition holds.",
        queries: [[
          partitionMax("tidings_partition_length", ofType, "messaging_destination_name"),
          `${TYPE} #{{tidings_partition}}`,
        ]],
      }),
      chart({
        title: "Rebalances",
        description: "How often consumers got other partitions. A deploy moves each partition at most twice.",
        queries: [[`sum by (${GROUP_LABELS}) (increase(tidings_rebalances_total{${ofGroup}}[5m]))`, GROUP]],
      }),
    ],
  },
  {
    title: "Streams",
    panels: [
      chart({
        title: "Length",
        description: "Events that each stream holds. Retention bounds it, unless a group is too far behind.",
        queries: [[`max by (messaging_destination_name) (tidings_stream_length{${ofType}})`, TYPE]],
      }),
      chart({
        title: "Size",
        description: "Bytes that each stream takes, as the store measures them.",
        queries: [[`max by (messaging_destination_name) (tidings_stream_size_bytes{${ofType}})`, TYPE]],
        unit: "bytes",
      }),
      chart({
        title: "Scheduled events",
        description: "Events that wait for their time.",
        queries: [[`max by (messaging_destination_name) (tidings_scheduled_waiting{${ofType}})`, TYPE]],
      }),
      chart({
        title: "Retention pinned",
        description: "1 while a group keeps overdue events from being removed.",
        queries: [[`max by (messaging_destination_name) (tidings_stream_pinned{${ofType}})`, TYPE]],
      }),
      chart({
        title: "Removed by retention",
        description: "Events per second that retention has removed.",
        queries: [[
          `sum by (messaging_destination_name) (rate(tidings_events_trimmed_total{${ofType}}[$__rate_interval]))`,
          TYPE,
        ]],
        unit: "ops",
      }),
    ],
  },
];
