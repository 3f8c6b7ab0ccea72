import type { JSX } from "preact";
import { Icon } from "../components/icon";
import { KeyField } from "../components/key-field";
import { Segmented } from "../components/segmented";
import { LANGUAGE_NAMES, LANGUAGES } from "../i18n";
import { useApp, useSelect, useText } from "../state/context";
import { THEMES } from "../state/settings";

export function SettingsScreen(): JSX.Element {
  const { change, notify } = useApp();
  const text = useText();
  const settings = useSelect((state) => state.settings);
  return (
    <main id="main" class="screen settings" tabIndex={-1}>
      <h1>{text.settings.title}</h1>
      <section class="group">
        <Segmented
          label={text.settings.language}
          options={LANGUAGES.map((value) => ({ value, label: LANGUAGE_NAMES[value] }))}
          value={settings.language}
          onChange={(language) => change({ language })}
        />
        <Segmented
          label={text.settings.theme}
          options={THEMES.map((value) => ({ value, label: text.settings.themes[value] }))}
          value={settings.theme}
          onChange={(theme) => change({ theme })}
        />
      </section>
      <section class="group">
        <KeyField
          value={settings.apiKey}
          text={text}
          onSave={(apiKey) => {
            change({ apiKey });
            notify(text.settings.keySaved);
          }}
        />
      </section>
      <section class="group">
        <h2>{text.settings.about}</h2>
        <ul class="rows">
          <li>
            <a class="row link" href="#/status">
              <span class="row-icon">
                <Icon name="pulse" />
              </span>
              <span class="row-words">{text.settings.status}</span>
              <Icon name="chevron" size={18} />
            </a>
          </li>
          <li>
            <a class="row link" href="docs">
              <span class="row-icon">
                <Icon name="cloud" />
              </span>
              <span class="row-words">{text.settings.source}</span>
              <Icon name="chevron" size={18} />
            </a>
          </li>
        </ul>
        <p class="note">{text.settings.install}</p>
      </section>
    </main>
  );
}
