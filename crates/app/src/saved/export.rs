//! A session for other programs and for people: one JSON document, or markdown.

use serde_json::{Value, json};

use super::text::{Head, Message, Role};

/// Everything that was said, as one document: `title`, `model`, `settings`, and `messages` as chat
/// templates and servers take them, the system prompt first.
pub(crate) fn json(head: &Head, messages: &[Message]) -> Value {
    let system = head.settings.system.iter();
    let system = system.map(|text| json!({"role": "system", "content": text}));
    let messages = messages.iter().map(Message::for_template);
    json!({
        "title": head.title,
        "created_seconds": head.created_seconds,
        "model": head.model,
        "settings": head.settings,
        "messages": system.chain(messages).collect::<Vec<Value>>(),
    })
}

/// The same for people. Reasoning is folded where markdown is shown as a page.
pub(crate) fn markdown(head: &Head, messages: &[Message]) -> String {
    let title = if head.title.is_empty() { "Conversation" } else { &head.title };
    let mut page = format!("# {title}\n");
    if !head.model.name.is_empty() {
        page.push_str(&format!("\nModel: {}\n", head.model.name));
    }
    if let Some(system) = &head.settings.system {
        section(&mut page, "System", system);
    }
    for message in messages {
        match message.role {
            Role::User => section(&mut page, "User", &message.content),
            Role::Assistant => assistant(&mut page, message),
            Role::Tool => {
                let name = message.tool.as_deref().unwrap_or("tool");
                section(&mut page, &format!("Result of {name}"), &fenced("", &message.content));
            }
        }
    }
    page
}

fn assistant(page: &mut String, message: &Message) {
    section(page, "Assistant", &message.content);
    if let Some(reasoning) = &message.reasoning {
        let folded = "<details><summary>Reasoning</summary>";
        page.push_str(&format!("\n{folded}\n\n{}\n\n</details>\n", reasoning.trim()));
    }
    for call in &message.tool_calls {
        let pretty = serde_json::to_string_pretty(call).unwrap_or_default();
        page.push_str(&format!("\n{}\n", fenced("json", &pretty)));
    }
    if let Some(stopped) = &message.stopped {
        page.push_str(&format!("\n*Stopped: {stopped}*\n"));
    }
}

fn section(page: &mut String, heading: &str, body: &str) {
    page.push_str(&format!("\n## {heading}\n"));
    if !body.trim().is_empty() {
        page.push_str(&format!("\n{}\n", body.trim()));
    }
}

/// A code block that nothing inside it can end.
fn fenced(language: &str, body: &str) -> String {
    let longest = body.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}{language}\n{}\n{fence}", body.trim_end())
}
