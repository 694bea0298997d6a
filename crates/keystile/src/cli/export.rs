//! `keystile journal export`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use keystile_core::journal::WriteRecord;
use keystile_engine::export;
use keystile_engine::journal::{Order, RecordFilter};
use keystile_engine::status::ShowStatus;
use tempfile::NamedTempFile;

use super::arguments::{ExportArguments, ExportFormat};
use super::json::{self, Layout};
use super::records::{PAGE, check_period, page};
use super::session::{Medium, Session, Stop};

/// Writes all records that match, earliest first.
pub(super) fn export(
    arguments: &ExportArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    check_period(arguments.period, session)?;
    let filter =
        arguments.filter.resolve(arguments.period, session.terminal.screen.now, Order::Latest);
    let Some(path) = &arguments.output else {
        let mut lines = Vec::new();
        return copy(filter, arguments, session, &mut |session, records| {
            // By the page, because the session cannot lend its output and be asked at once.
            write(&mut lines, arguments.format, records)?;
            session.terminal.stdout.write_all(&lines)?;
            lines.clear();
            Ok(())
        });
    };
    let mut file = Destination::open(path, arguments)?;
    copy(filter, arguments, session, &mut |_, records| {
        write(&mut file, arguments.format, records).map_err(|error| file_failure(path, &error))
    })?;
    file.finish(path, arguments)
}

type Sink<'s> = &'s mut dyn FnMut(&mut Session<'_, '_>, Records<'_>) -> Result<(), Stop>;

/// A page of records, or what stands before the first.
#[derive(Clone, Copy)]
enum Records<'a> {
    Head,
    Page(&'a [WriteRecord]),
}

fn copy(
    mut filter: RecordFilter,
    arguments: &ExportArguments,
    session: &mut Session<'_, '_>,
    sink: Sink<'_>,
) -> Result<(), Stop> {
    let bar = progress(&filter, arguments, session)?;
    filter.order = Order::Earliest;
    filter.limit = PAGE;
    sink(session, Records::Head)?;
    loop {
        let records = page(filter.clone(), session)?;
        let Some(last) = records.last() else {
            break;
        };
        filter.order = Order::After(last.id);
        sink(session, Records::Page(&records))?;
        bar.inc(records.len() as u64);
    }
    bar.finish_and_clear();
    if arguments.output.is_some() {
        session.terminal.say(&format!("{} records written.", bar.position()))?;
    }
    Ok(())
}

/// A bar, where a person watches and no data runs over the same terminal.
fn progress(
    filter: &RecordFilter,
    arguments: &ExportArguments,
    session: &mut Session<'_, '_>,
) -> Result<ProgressBar, Stop> {
    let screen = session.terminal.screen;
    let data_elsewhere = arguments.output.is_some() || screen.stdout == Medium::Other;
    if screen.stderr == Medium::Other || !data_elsewhere {
        return Ok(ProgressBar::hidden());
    }
    let everything = *filter == RecordFilter::default();
    let status = everything.then(|| session.execute(ShowStatus)).transpose()?;
    let total = status.map(|status| status.records);
    let template = match total {
        Some(_) => "{bar:30} {human_pos} of {human_len} records, {eta} to go",
        None => "{spinner} {human_pos} records, {elapsed}",
    };
    let style =
        ProgressStyle::with_template(template).expect("the template is a constant that parses");
    Ok(ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_style(style))
}

fn write(out: &mut dyn Write, format: ExportFormat, records: Records<'_>) -> io::Result<()> {
    match (format, records) {
        (ExportFormat::Jsonl, Records::Head) => Ok(()),
        (ExportFormat::Jsonl, Records::Page(records)) => {
            records.iter().try_for_each(|record| json::write_line(out, record, Layout::Line))
        }
        (ExportFormat::Csv, Records::Head) => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(export::CSV_HEAD)?;
            csv.flush()
        }
        (ExportFormat::Csv, Records::Page(records)) => {
            let mut csv = csv::Writer::from_writer(out);
            for record in records {
                csv.write_record(export::csv_row(record))?;
            }
            csv.flush()
        }
    }
}

/// Where an export goes.
enum Destination {
    /// Takes the file's name when it is complete.
    Complete(BufWriter<NamedTempFile>),
    /// A pipe or device, which is written to and never replaced.
    Special(BufWriter<File>),
}

impl Destination {
    fn open(path: &Path, arguments: &ExportArguments) -> Result<Self, Stop> {
        let failure = |error| file_failure(path, &error);
        match path.metadata() {
            Ok(found) if found.is_dir() => {
                Err(Stop::failed(format!("{} is a directory", path.display()), "name a file in it"))
            }
            Ok(found) if !found.is_file() => {
                let file = File::options().write(true).open(path).map_err(failure)?;
                Ok(Self::Special(BufWriter::new(file)))
            }
            Ok(_) if !arguments.force => Err(exists(path)),
            Ok(_) | Err(_) => {
                let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
                let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
                let file = NamedTempFile::new_in(folder).map_err(failure)?;
                Ok(Self::Complete(BufWriter::new(file)))
            }
        }
    }

    fn finish(self, path: &Path, arguments: &ExportArguments) -> Result<(), Stop> {
        let failure = |error: io::Error| file_failure(path, &error);
        match self {
            Self::Special(mut file) => file.flush().map_err(failure),
            Self::Complete(file) => {
                let file = file.into_inner().map_err(|error| failure(error.into_error()))?;
                file.as_file().sync_all().map_err(failure)?;
                let kept =
                    if arguments.force { file.persist(path) } else { file.persist_noclobber(path) };
                match kept {
                    Ok(_) => Ok(()),
                    Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                        Err(exists(path))
                    }
                    Err(error) => Err(failure(error.error)),
                }
            }
        }
    }
}

impl Write for Destination {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Complete(file) => file.write(bytes),
            Self::Special(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Complete(file) => file.flush(),
            Self::Special(file) => file.flush(),
        }
    }
}

fn exists(path: &Path) -> Stop {
    Stop::failed(
        format!("{} exists", path.display()),
        "choose another name, or overwrite it with --force",
    )
}

fn file_failure(path: &Path, error: &io::Error) -> Stop {
    Stop::failed(
        format!("{} cannot be written: {error}", path.display()),
        "look at the directory's permissions and free space",
    )
}
